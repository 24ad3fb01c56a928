"""Create, read, update and delete one object, whatever its kind."""

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Any

from airgap.plugins.base.provider import InitFailedError, ProviderError, Request
from airgap.plugins.base.values import has_unknown, plain
from airgap.plugins.kubernetes import managers
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
    DEFAULT_SECONDS,
    NotReadyError,
    Wait,
    first_look,
    sleep_or,
    wait_ready,
)

# Seconds between tries of a custom resource made beside its definition, an object beside its namespace.
_RETRY_SECONDS = (1, 2, 4, 8, 16, 32)
_DELETE_POLL_SECONDS = 0.25
_SKIP_DELETE_WAIT = (
    "Namespace",
    "Pod",
    "ReplicationController",
    "DaemonSet",
    "Deployment",
    "StatefulSet",
    "Job",
)
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


@dataclass
class Resources:
    """Operations on the objects of one reachable cluster."""

    client: Client
    cancelled: asyncio.Event
    patch_force: bool = False
    upsert: bool = False

    async def create(self, request: Request) -> tuple[str, dict[str, Any]]:
        """POST (Patch types and upserts: server-side apply), then wait until it is ready."""
        inputs = dashed(plain(request.inputs))
        api_version, kind_name, patch = group_version_kind(request.type, inputs.get("kind", ""))
        if request.preview:
            return "", await self._preview_create(request, inputs, api_version, kind_name, patch=patch)
        manager = (
            annotation(inputs, "pulumi.com/patchFieldManager") or f"pulumi-kubernetes-{secrets.token_hex(4)}"
        )
        kind, live = await self._create_object(request, inputs, api_version, kind_name, manager, patch=patch)
        request.log.status("")
        if kind_name == "CustomResourceDefinition":
            self.client.forget_kinds()
        try:
            live = await wait_ready(self._wait(request), kind, live, inputs)
        except NotReadyError as error:
            state = checkpoint(inputs, error.live, request.inputs, api_version, manager)
            message = (
                f"resource {_quoted(request)} was successfully created, but the Kubernetes API server "
                f"reported that it failed to fully initialize or become live: {error}"
            )
            raise InitFailedError(
                object_id(error.live), state, None, [message, *error.reasons], message
            ) from error
        return object_id(live), checkpoint(inputs, live, request.inputs, api_version, manager)

    async def _preview_create(
        self, request: Request, inputs: dict[str, Any], api_version: str, kind_name: str, *, patch: bool
    ) -> dict[str, Any]:
        """The server's dry run of a create; the inputs where there can be none."""
        if has_unknown(inputs) or patch:
            return request.inputs
        try:
            kind = await self.client.kind(api_version, kind_name)
            live = await self.client.create(kind, inputs, dry_run=True)
        except NoKindError:
            return request.inputs
        except ApiError as error:
            missing_namespace = error.code == 404 and error.details.get("kind") == "namespaces"
            no_dry_run = "dryRun" in str(error) or "dry run" in str(error)
            if error.code in (403, 409) or missing_namespace or no_dry_run:
                return request.inputs
            raise _not_created(request, str(error)) from error
        live.pop("status", None)
        return checkpoint(inputs, live, request.inputs, api_version, "pulumi-kubernetes")

    async def _create_object(
        self,
        request: Request,
        inputs: dict[str, Any],
        api_version: str,
        kind_name: str,
        manager: str,
        *,
        patch: bool,
    ) -> tuple[Kind, dict[str, Any]]:
        for attempt, pause in enumerate((*_RETRY_SECONDS, 0), start=1):
            try:
                kind = await self.client.kind(api_version, kind_name)
                if patch or self.upsert:
                    force = self._force(inputs)
                    return kind, await self.client.apply(
                        kind, inputs, manager=manager, force=force, dry_run=False
                    )
                return kind, await self.client.create(kind, inputs, dry_run=False)
            except (ApiError, NoKindError) as error:
                text = str(error)
                again = isinstance(error, NoKindError) or error.code == 404
                if again and pause and not self.cancelled.is_set():
                    request.log.status(f"Retry #{attempt}; creation failed: {text}")
                    await sleep_or(self.cancelled, pause)
                    continue
                if isinstance(error, ApiError) and error.code == 409:
                    text = (
                        managers.conflict_text(manager, error)
                        if patch or self.upsert
                        else f"{text}\n\n{_EXISTS}"
                    )
                if isinstance(error, NoKindError):
                    raise ProviderError(
                        f"creation of resource {_quoted(request)} with kind {api_version}/{kind_name} failed "
                        "because the Kubernetes API server reported that the apiVersion for this resource "
                        f"does not exist. Verify that any required CRDs have been created: {text}"
                    ) from error
                raise _not_created(request, text) from error
        raise AssertionError("unreachable: the last try has no pause")

    async def update(self, request: Request) -> dict[str, Any]:
        """Server-side apply (definitions: PUT) under the manager in the state, then wait until ready."""
        inputs = dashed(plain(request.inputs))
        api_version, kind_name, patch = group_version_kind(request.type, inputs.get("kind", ""))
        old_manager = str(plain(request.state.get("__fieldManager")) or "pulumi-kubernetes")
        manager = annotation(inputs, "pulumi.com/patchFieldManager") or old_manager
        if request.preview and has_unknown(inputs):
            return request.inputs
        first = str(plain(request.state.get("__initialApiVersion")) or api_version)
        meta = metadata(inputs)
        before: dict[str, Any] | None = None
        try:
            kind = await self.client.kind(api_version, kind_name)
            before = await self.client.get(kind, meta.get("namespace", "default"), meta["name"])
            live = await self._change(request, kind, inputs, before, manager, patch=patch)
        except NoKindError as error:
            if request.preview:
                return request.inputs
            raise ProviderError(
                f"update of resource {_quoted(request)} failed because the Kubernetes API server reported "
                "that the apiVersion for this resource does not exist. Verify that any required CRDs have "
                f"been created: {error}"
            ) from error
        except ApiError as error:
            if request.preview and error.code == 403:
                return request.inputs
            text = managers.conflict_text(manager, error) if error.code == 409 else str(error)
            if before is None:
                raise ProviderError(f"update of resource {_quoted(request)} failed: {text}") from error
            raise self._partial(
                request, before, inputs, version=first, manager=manager, why=[text]
            ) from error
        if request.preview:
            live.pop("status", None)
            return checkpoint(inputs, live, request.inputs, first, manager)
        try:
            live = await wait_ready(self._wait(request), kind, live, inputs)
        except NotReadyError as error:
            why = [str(error), *error.reasons]
            raise self._partial(
                request, error.live, inputs, version=first, manager=manager, why=why
            ) from error
        if manager != old_manager:
            await managers.relinquish(self.client, kind, live, old_manager)
        return checkpoint(inputs, live, request.inputs, first, manager)

    async def _change(
        self,
        request: Request,
        kind: Kind,
        inputs: dict[str, Any],
        before: dict[str, Any],
        manager: str,
        *,
        patch: bool,
    ) -> dict[str, Any]:
        dry_run = request.preview
        if kind.kind == "CustomResourceDefinition":
            return await self._replace(kind, inputs, before, manager, dry_run=dry_run)
        if not patch and not dry_run:
            await managers.take_over(self.client, kind, before, manager)
        applied = managers.without_ignored(inputs, before, manager, request.ignore_changes)
        force = self._force(inputs) or not metadata(before).get("managedFields")
        force = force or (dry_run and managers.client_side(before))
        return await self.client.apply(kind, applied, manager=manager, force=force, dry_run=dry_run)

    def _partial(
        self,
        request: Request,
        live: dict[str, Any],
        inputs: dict[str, Any],
        *,
        version: str,
        manager: str,
        why: list[str],
    ) -> InitFailedError:
        message = (
            f'the Kubernetes API server reported that "{object_id(live)}" failed to fully initialize '
            f"or become live: {why[0]}"
        )
        state = checkpoint(inputs, live, request.inputs, version, manager)
        return InitFailedError(object_id(live), state, None, [message, *why[1:]], message)

    async def _replace(
        self, kind: Kind, inputs: dict[str, Any], before: dict[str, Any], manager: str, *, dry_run: bool
    ) -> dict[str, Any]:
        meta = {**metadata(inputs), "resourceVersion": metadata(before)["resourceVersion"]}
        params = {"fieldManager": manager, **({"dryRun": "All"} if dry_run else {})}
        path = kind.path("", meta["name"])
        result: dict[str, Any] = await self.client.request(
            "PUT", path, params=params, body={**inputs, "metadata": meta}
        )
        if not dry_run:
            self.client.forget_kinds()
        return result

    async def read(self, request: Request) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """The live object; with prior state also whether it is ready."""
        old_inputs, old_live = split_state(request.state)
        api_version, kind_name, _ = group_version_kind(request.type, old_live.get("kind", ""))
        namespace, _, name = request.id.rpartition("/")
        try:
            kind = await self.client.kind(api_version, kind_name)
            live = await self.client.get(kind, namespace or self.client.access.namespace or "default", name)
        except NoKindError:
            return "", {}, {}
        except ApiError as error:
            if error.code == 404:
                return "", {}, {}
            raise ProviderError(str(error)) from error
        first = str(plain(request.state.get("__initialApiVersion")) or api_version)
        manager = str(
            plain(request.state.get("__fieldManager")) or f"pulumi-kubernetes-{secrets.token_hex(4)}"
        )
        if not old_inputs:
            inputs = _imported_inputs(live)
            state = checkpoint(inputs, live, inputs, first, manager)
            return object_id(live), state, state["__inputs"]
        inputs = prune(live, old_inputs)
        state = checkpoint(inputs, live, request.state, first, manager)
        answer = state["__inputs"]
        if reasons := await first_look(self.client, kind, live, request.log):
            summary = f"Resource '{name}' was created but failed to initialize"
            raise InitFailedError(object_id(live), state, answer, [summary, *reasons], summary)
        return object_id(live), state, answer

    async def delete(self, request: Request) -> None:
        """DELETE and wait until it is gone; Patch types give their fields back instead."""
        old_inputs, live = split_state(request.state)
        api_version, kind_name, patch = group_version_kind(request.type, live.get("kind", ""))
        namespace, _, name = request.id.rpartition("/")
        manager = str(plain(request.state.get("__fieldManager")) or "pulumi-kubernetes")
        try:
            kind = await self.client.kind(api_version, kind_name)
            if patch:
                await managers.relinquish(self.client, kind, live, manager)
                return
            propagation = (
                annotation(live, "pulumi.com/deletionPropagationPolicy").capitalize() or "Foreground"
            )
            options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
            await self.client.request("DELETE", kind.path(namespace or "default", name), body=options)
        except NoKindError:
            return
        except ApiError as error:
            if error.code == 404:
                return
            raise ProviderError(str(error)) from error
        if annotation(old_inputs, "pulumi.com/skipAwait") == "true" and kind_name in _SKIP_DELETE_WAIT:
            return
        await self._wait_gone(request, kind, live)

    async def _wait_gone(self, request: Request, kind: Kind, live: dict[str, Any]) -> None:
        namespace, _, name = request.id.rpartition("/")
        annotated = annotation(live, "pulumi.com/timeoutSeconds")
        seconds = request.timeout or (float(annotated) if annotated.isdigit() else DEFAULT_SECONDS)
        deadline = time.monotonic() + seconds
        uid = metadata(live).get("uid")
        pause = _DELETE_POLL_SECONDS / 4
        while True:
            try:
                live = await self.client.get(kind, namespace or "default", name)
            except ApiError as error:
                if error.code == 404:
                    return
                raise ProviderError(str(error)) from error
            if uid and metadata(live).get("uid") != uid:
                return  # the old object is gone, someone made a new one under its name
            late = time.monotonic() >= deadline
            if late or self.cancelled.is_set():
                finalizers = metadata(live).get("finalizers") or []
                if finalizers:
                    request.log.warning(f"finalizers might be preventing deletion ({', '.join(finalizers)})")
                what = (
                    f"'{name}' timed out waiting to be deleted"
                    if late
                    else f"deletion of '{name}' was cancelled"
                )
                first = str(plain(request.state.get("__initialApiVersion")) or kind.api_version)
                manager = str(plain(request.state.get("__fieldManager")) or "")
                state = checkpoint(split_state(request.state)[0], live, request.state, first, manager)
                raise InitFailedError(request.id, state, None, [what])
            await sleep_or(self.cancelled, pause)
            pause = min(pause * 1.5, _DELETE_POLL_SECONDS * 4)

    def _wait(self, request: Request) -> Wait:
        return Wait(self.client, request.log, self.cancelled, request.timeout)

    def _force(self, inputs: dict[str, Any]) -> bool:
        return annotation(inputs, "pulumi.com/patchForce") == "true" or self.patch_force


def _imported_inputs(live: dict[str, Any]) -> dict[str, Any]:
    """What a program would have to say to get this live object."""
    inputs = canonical_inputs({key: value for key, value in live.items() if key != "status"})
    annotations = metadata(inputs).get("annotations")
    if isinstance(annotations, dict):
        annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    return inputs


def _quoted(request: Request) -> str:
    return f'"{request.urn}"'


def _not_created(request: Request, text: str) -> ProviderError:
    return ProviderError(
        f"resource {_quoted(request)} was not successfully created by the Kubernetes API server: {text}"
    )
