"""Create, read, update and delete one object, whatever its kind."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from airgap.plugins.base.provider import InitFailedError, ProviderError, Request, Values
from airgap.plugins.base.values import has_unknown, plain
from airgap.plugins.kubernetes import managers
from airgap.plugins.kubernetes.checks import CheckedObjects
from airgap.plugins.kubernetes.client import ApiError, Client, Kind, NoKindError
from airgap.plugins.kubernetes.objects import (
    annotation,
    canonical_inputs,
    checkpoint,
    dashed,
    group_version_kind,
    metadata,
    object_id,
    prune,
    split_state,
)
from airgap.plugins.kubernetes.ready import (
    NotReadyError,
    first_look,
    skips_waiting,
    sleep_or,
    until,
    wait_ready,
)
from airgap.plugins.kubernetes.rules import Wait

# Seconds between tries of a custom resource made beside its definition, an object beside its namespace.
_RETRY_SECONDS = (1, 2, 4, 8, 16, 32)
_DELETE_SECONDS = 600.0
# Kinds whose skipAwait also skips the wait for their end.
_SKIP_DELETE_WAIT = ("Namespace", "Pod", "DaemonSet", "Deployment", "StatefulSet", "Job")
_EXISTS = """\
The resource already exists in the cluster. This can happen when:

  - Renaming a Pulumi resource: use an alias to preserve the identity,
    or use deleteBeforeReplace if the resource needs replacement.
  - Managing an existing resource: use a Patch resource (e.g. NamespacePatch)
    to manage specific fields without owning the resource lifecycle.
  - Adopting a resource into Pulumi: use `pulumi import`. Note that
    protected resources (e.g. kube-system) cannot be deleted on destroy.
  - Intentional upsert: set upsertExistingObjects on the provider to allow
    server-side apply to update existing objects on create."""


class Target:
    """The object one request is about; what the state does not say yet is decided here."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.inputs = dashed(plain(request.inputs))
        self.old_inputs, self.live = split_state(request.state)
        said = self.inputs or self.live
        self.api_version, self.kind, self.patch = group_version_kind(request.type, str(said.get("kind", "")))
        state = plain(request.state)
        self.manager = str(state.get("__fieldManager") or f"pulumi-kubernetes-{secrets.token_hex(4)}")
        self.initial = str(state.get("__initialApiVersion") or self.api_version)
        self.namespace, _, self.name = request.id.rpartition("/")

    def state(self, live: Values) -> Values:
        """What the state keeps after a create or update."""
        return checkpoint(self.inputs, live, self.request.inputs, self.initial, self.manager)

    def unready(self, live: Values, why: list[str]) -> InitFailedError:
        """The error of an object that is there and not as asked."""
        subject = f'the Kubernetes API server reported that "{object_id(live)}"'
        if not self.request.id:
            subject = (
                f'resource "{self.request.urn}" was successfully created, but the Kubernetes API server '
                "reported that it"
            )
        message = f"{subject} failed to fully initialize or become live: {why[0]}"
        return InitFailedError(object_id(live), self.state(live), [message, *why[1:]])


@dataclass(frozen=True)
class Resources(CheckedObjects):
    """Operations on the objects of one reachable cluster."""

    client: Client
    cancelled: asyncio.Event
    patch_force: bool
    upsert: bool

    async def create(self, request: Request) -> tuple[str, Values]:
        """POST (Patch types and upserts: server-side apply), then wait until it is ready."""
        target = Target(request)
        if request.preview:
            return "", request.inputs if target.patch else await self._preview(target, self._make)
        kind, live = await self._make_in_time(target)
        await request.log.status("")
        live = await self._ready(target, kind, live)
        return object_id(live), target.state(live)

    async def update(self, request: Request) -> Values:
        """Server-side apply under the manager in the state, then wait until it is ready."""
        target = Target(request)
        if request.preview:
            return await self._preview(target, self._change)
        try:
            kind, live = await self._change(target)
        except (ApiError, NoKindError) as error:
            raise target.unready(target.live, [self._words(target, error)]) from error
        return target.state(await self._ready(target, kind, live))

    async def _preview(
        self, target: Target, change: Callable[[Target], Awaitable[tuple[Kind, Values]]]
    ) -> Values:
        """What the server's dry run of a change makes; the inputs where there can be none."""
        inputs = target.request.inputs
        if has_unknown(inputs):
            return inputs
        try:
            _, live = await change(target)
        except NoKindError:
            return inputs
        except ApiError as error:
            in_new_namespace = error.code == 404 and error.details.get("kind") == "namespaces"
            taken = error.code == 409 and not target.request.id
            if error.code == 403 or in_new_namespace or taken:
                return inputs
            raise ProviderError(self._words(target, error)) from error
        live.pop("status", None)
        return target.state(live)

    async def _make_in_time(self, target: Target) -> tuple[Kind, Values]:
        """Make an object whose kind or namespace may be in the making itself."""
        for attempt, pause in enumerate((*_RETRY_SECONDS, 0), start=1):
            try:
                return await self._make(target)
            except (ApiError, NoKindError) as error:
                missing = isinstance(error, NoKindError) or error.code == 404
                if not (missing and pause) or self.cancelled.is_set():
                    raise ProviderError(self._words(target, error)) from error
                await target.request.log.status(f"Retry #{attempt}; creation failed: {error}")
                await sleep_or(self.cancelled, pause)
        raise AssertionError("unreachable: the last try has no pause")

    async def _make(self, target: Target) -> tuple[Kind, Values]:
        kind = await self.client.kind(target.api_version, target.kind)
        if target.patch or self.upsert:
            return kind, await self._apply(target, kind, force=self._force(target))
        return kind, await self.client.create(kind, target.inputs, dry_run=target.request.preview)

    async def _change(self, target: Target) -> tuple[Kind, Values]:
        dry_run = target.request.preview
        kind = await self.client.kind(target.api_version, target.kind)
        before = await self.client.get(kind, target.namespace, target.name)
        if before is None:
            raise ApiError(404, f"{target.request.id} is not there; run `pulumi refresh`")
        if not target.patch and not dry_run:
            await managers.take_over(self.client, kind, before, target.manager)
        unowned = not metadata(before).get("managedFields")
        force = self._force(target) or unowned or (dry_run and bool(managers.predecessors(before)))
        return kind, await self._apply(target, kind, force=force)

    async def _apply(self, target: Target, kind: Kind, *, force: bool) -> Values:
        dry_run, manager = target.request.preview, target.manager
        return await self.client.apply(kind, target.inputs, manager=manager, force=force, dry_run=dry_run)

    def _force(self, target: Target) -> bool:
        return annotation(target.inputs, "pulumi.com/patchForce") == "true" or self.patch_force

    def _words(self, target: Target, error: ApiError | NoKindError) -> str:
        """What the user is told when the API server does not take an object."""
        urn, text = f'"{target.request.urn}"', str(error)
        if isinstance(error, NoKindError):
            return (
                f"creation of resource {urn} with kind {target.api_version}/{target.kind} failed because the "
                "Kubernetes API server reported that the apiVersion for this resource does not exist. "
                f"Verify that any required CRDs have been created: {text}"
            )
        if error.code == 409:
            posted = not (target.patch or self.upsert or target.request.id)
            text = f"{text}\n\n{_EXISTS}" if posted else managers.conflict_text(target.manager, error)
        if target.request.id:
            return text
        return f"resource {urn} was not successfully created by the Kubernetes API server: {text}"

    async def _ready(self, target: Target, kind: Kind, live: Values) -> Values:
        """Wait until the object is ready; answers it as it is then."""
        try:
            return await wait_ready(self._wait(target.request), kind, live, target.inputs)
        except NotReadyError as error:
            raise target.unready(error.live, [str(error), *error.reasons]) from error

    async def read(self, request: Request) -> tuple[str, Values, Values]:
        """The live object; with prior state also whether it is ready."""
        target = Target(request)
        try:
            kind = await self.client.kind(target.api_version, target.kind)
            home = target.namespace or self.client.access.namespace
            live = await self.client.get(kind, home, target.name)
        except NoKindError:
            live = None
        except ApiError as error:
            raise ProviderError(str(error)) from error
        if live is None:
            return "", {}, {}
        inputs = prune(live, target.old_inputs) if target.old_inputs else _imported_inputs(live)
        source = request.state if target.old_inputs else inputs
        state = checkpoint(inputs, live, source, target.initial, target.manager)
        if target.old_inputs and (reasons := await first_look(self._wait(request), kind, live)):
            summary = f"Resource '{target.name}' was created but failed to initialize"
            raise InitFailedError(object_id(live), state, [summary, *reasons], state["__inputs"])
        return object_id(live), state, state["__inputs"]

    async def delete(self, request: Request) -> None:
        """DELETE and wait until it is gone; Patch types give their fields back instead."""
        target = Target(request)
        policy = annotation(target.live, "pulumi.com/deletionPropagationPolicy").capitalize() or "Foreground"
        try:
            kind = await self.client.kind(target.api_version, target.kind)
            if target.patch:
                await managers.relinquish(self.client, kind, target.live, target.manager)
                return
            options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
            await self.client.request("DELETE", kind.path(target.namespace, target.name), body=options)
            if not (skips_waiting(target.old_inputs) and kind.kind in _SKIP_DELETE_WAIT):
                await self._wait_gone(target, kind)
        except NoKindError:
            return
        except ApiError as error:
            if error.code != 404:
                raise ProviderError(str(error)) from error

    async def _wait_gone(self, target: Target, kind: Kind) -> None:
        request, live, uid = target.request, target.live, metadata(target.live).get("uid")

        async def gone() -> bool:
            nonlocal live
            now = await self.client.get(kind, target.namespace, target.name)
            live = now or live
            return now is None or uid not in (None, metadata(now).get("uid"))  # someone made a new one

        ended = await until(self._wait(request), request.timeout or _DELETE_SECONDS, gone)
        if not ended:
            return
        if finalizers := metadata(live).get("finalizers"):
            text = f"finalizers might be preventing deletion ({', '.join(finalizers)})"
            await request.log.warning(text)
        state = checkpoint(target.old_inputs, live, request.state, target.initial, target.manager)
        what = "timed out waiting to be deleted" if ended == "timed out" else "was not deleted: cancelled"
        raise InitFailedError(request.id, state, [f"'{target.name}' {what}"])

    def _wait(self, request: Request) -> Wait:
        return Wait(self.client, request.log, self.cancelled, request.timeout)


def _imported_inputs(live: Values) -> Values:
    """What a program would have to say to get this live object."""
    inputs = canonical_inputs({key: value for key, value in live.items() if key != "status"})
    annotations = metadata(inputs).get("annotations")
    if isinstance(annotations, dict):
        annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    return inputs
