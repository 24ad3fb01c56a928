"""What is in a cluster that does not answer: previewed by its inputs, forgotten where that is allowed."""

from dataclasses import dataclass

from airgap.plugins.base.diff import Diff
from airgap.plugins.base.provider import Failure, ProviderError, Request, Values
from airgap.plugins.kubernetes.checks import CheckedObjects
from airgap.plugins.kubernetes.release import RELEASE, diff_releases

_HINT = (
    "configured Kubernetes cluster is unreachable. If the cluster was deleted, you can remove this "
    "resource from Pulumi state by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE "
    'environment variable set to "true"'
)


@dataclass(frozen=True)
class Unreachable(CheckedObjects):
    """Objects and releases; `reason` says why, with `forget` what cannot be deleted goes from the state."""

    reason: str
    forget: bool = False

    async def check(self, request: Request) -> tuple[Values, list[Failure]]:
        """Releases are taken as they are."""
        return (request.inputs, []) if request.type == RELEASE else await super().check(request)

    async def diff(self, request: Request) -> Diff:
        """As if the cluster were there."""
        return diff_releases(request) if request.type == RELEASE else await super().diff(request)

    async def create(self, request: Request) -> tuple[str, Values]:
        """Previews only."""
        return "", await self.update(request)

    async def update(self, request: Request) -> Values:
        """Previews only."""
        if not request.preview:
            raise ProviderError(f"configured Kubernetes cluster is unreachable: {self.reason}")
        return request.inputs

    async def read(self, request: Request) -> tuple[str, Values, Values]:
        """Gone, if it may be."""
        await self._forget(request, allowed=self.forget)
        return "", {}, {}

    async def delete(self, request: Request) -> None:
        """Gone, if it may be."""
        await self._forget(request, allowed=self.forget and request.type != RELEASE)
        await request.log.info(
            "configured Kubernetes cluster is unreachable and the `deleteUnreachable` option is "
            "enabled. Deleting the unreachable resource from Pulumi state"
        )

    async def _forget(self, request: Request, *, allowed: bool) -> None:
        await request.log.warning(f"configured Kubernetes cluster is unreachable: {self.reason}")
        if not allowed:
            raise ProviderError(_HINT)
