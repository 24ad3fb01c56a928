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
from airgap.plugins.kubernetes.ready import NotReadyError, first_look, seconds_to_wait, sleep_or, wait_ready
from airgap.plugins.kubernetes.rules import Wait

# Seconds between tries of a custom resource made beside its definition, an object beside its namespace.
_RETRY_SECONDS = (1, 2, 4, 8, 16, 32)
_DELETE_POLL_SECONDS = 0.25
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
        self.urn = f'"{request.urn}"'

    def state(self, live: dict[str, Any]) -> dict[str, Any]:
        """What the state keeps after a create or update."""
        return checkpoint(self.inputs, live, self.request.inputs, self.initial, self.manager)

    def missing_kind(self, what: str, error: NoKindError) -> ProviderError:
        """The error of a kind that its cluster does not serve."""
        return ProviderError(
            f"{what} failed because the Kubernetes API server reported that the apiVersion for this resource "
            f"does not exist. Verify that any required CRDs have been created: {error}"
        )


@dataclass
class Resources:
    """Operations on the objects of one reachable cluster."""

    client: Client
    cancelled: asyncio.Event
    patch_force: bool = False
    upsert: bool = False

    async def create(self, request: Request) -> tuple[str, dict[str, Any]]:
        """POST (Patch types and upserts: server-side apply), then wait until it is ready."""
        target = Target(request)
        if request.preview:
            return "", await self._preview_create(target)
        kind, live = await self._create_object(target)
        request.log.status("")
        if kind.kind == "CustomResourceDefinition":
            self.client.forget_kinds()
        try:
            live = await wait_ready(self._wait(request), kind, live, target.inputs)
        except NotReadyError as error:
            message = (
                f"resource {target.urn} was successfully created, but the Kubernetes API server "
                f"reported that it failed to fully initialize or become live: {error}"
            )
            state = target.state(error.live)
            raise InitFailedError(object_id(error.live), state, [message, *error.reasons]) from error
        return object_id(live), target.state(live)

    async def _preview_create(self, target: Target) -> dict[str, Any]:
        """The server's dry run of a create; the inputs where there can be none."""
        inputs = target.request.inputs
        if has_unknown(inputs) or target.patch:
            return inputs
        try:
            kind = await self.client.kind(target.api_version, target.kind)
            live = await self.client.create(kind, target.inputs, dry_run=True)
        except NoKindError:
            return inputs
        except ApiError as error:
            missing_namespace = error.code == 404 and error.details.get("kind") == "namespaces"
            no_dry_run = "dryRun" in str(error) or "dry run" in str(error)
            if error.code in (403, 409) or missing_namespace or no_dry_run:
                return inputs
            raise _not_created(target, str(error)) from error
        live.pop("status", None)
        return target.state(live)

    async def _create_object(self, target: Target) -> tuple[Kind, dict[str, Any]]:
        apply = target.patch or self.upsert
        for attempt, pause in enumerate((*_RETRY_SECONDS, 0), start=1):
            try:
                kind = await self.client.kind(target.api_version, target.kind)
                if apply:
                    force = self._force(target.inputs)
                    return kind, await self.client.apply(
                        kind, target.inputs, manager=target.manager, force=force, dry_run=False
                    )
                return kind, await self.client.create(kind, target.inputs, dry_run=False)
            except (ApiError, NoKindError) as error:
                again = isinstance(error, NoKindError) or error.code == 404
                if again and pause and not self.cancelled.is_set():
                    target.request.log.status(f"Retry #{attempt}; creation failed: {error}")
                    await sleep_or(self.cancelled, pause)
                    continue
                if isinstance(error, NoKindError):
                    what = f"creation of resource {target.urn} with kind {target.api_version}/{target.kind}"
                    raise target.missing_kind(what, error) from error
                text = str(error)
                if error.code == 409:
                    text = managers.conflict_text(target.manager, error) if apply else f"{text}\n\n{_EXISTS}"
                raise _not_created(target, text) from error
        raise AssertionError("unreachable: the last try has no pause")

    async def update(self, request: Request) -> dict[str, Any]:
        """Server-side apply (definitions: PUT) under the manager in the state, then wait until ready."""
        target = Target(request)
        if request.preview and has_unknown(target.inputs):
            return request.inputs
        meta = metadata(target.inputs)
        before: dict[str, Any] | None = None
        try:
            kind = await self.client.kind(target.api_version, target.kind)
            before = await self.client.get(kind, meta.get("namespace", "default"), meta["name"])
            live = await self._change(target, kind, before)
        except NoKindError as error:
            if request.preview:
                return request.inputs
            raise target.missing_kind(f"update of resource {target.urn}", error) from error
        except ApiError as error:
            if request.preview and error.code == 403:
                return request.inputs
            text = managers.conflict_text(target.manager, error) if error.code == 409 else str(error)
            if before is None:
                raise ProviderError(f"update of resource {target.urn} failed: {text}") from error
            raise _not_updated(target, before, [text]) from error
        if request.preview:
            live.pop("status", None)
            return target.state(live)
        try:
            live = await wait_ready(self._wait(request), kind, live, target.inputs)
        except NotReadyError as error:
            raise _not_updated(target, error.live, [str(error), *error.reasons]) from error
        return target.state(live)

    async def _change(self, target: Target, kind: Kind, before: dict[str, Any]) -> dict[str, Any]:
        dry_run, inputs, manager = target.request.preview, target.inputs, target.manager
        if kind.kind == "CustomResourceDefinition":
            live = await self.client.replace(kind, inputs, before, manager=manager, dry_run=dry_run)
            if not dry_run:
                self.client.forget_kinds()
            return live
        if not target.patch and not dry_run:
            await managers.take_over(self.client, kind, before, manager)
        force = self._force(inputs) or not metadata(before).get("managedFields")
        force = force or (dry_run and managers.client_side(before))
        return await self.client.apply(kind, inputs, manager=manager, force=force, dry_run=dry_run)

    async def read(self, request: Request) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """The live object; with prior state also whether it is ready."""
        target = Target(request)
        try:
            kind = await self.client.kind(target.api_version, target.kind)
            home = target.namespace or self.client.access.namespace or "default"
            live = await self.client.get(kind, home, target.name)
        except NoKindError:
            return "", {}, {}
        except ApiError as error:
            if error.code == 404:
                return "", {}, {}
            raise ProviderError(str(error)) from error
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
            path = kind.path(target.namespace or "default", target.name)
            await self.client.request("DELETE", path, body=options)
        except NoKindError:
            return
        except ApiError as error:
            if error.code == 404:
                return
            raise ProviderError(str(error)) from error
        skips = annotation(target.old_inputs, "pulumi.com/skipAwait") == "true"
        if not (skips and kind.kind in _SKIP_DELETE_WAIT):
            await self._wait_gone(target, kind)

    async def _wait_gone(self, target: Target, kind: Kind) -> None:
        deadline = time.monotonic() + seconds_to_wait(target.request.timeout, target.live)
        uid, pause = metadata(target.live).get("uid"), _DELETE_POLL_SECONDS / 4
        while True:
            try:
                live = await self.client.get(kind, target.namespace or "default", target.name)
            except ApiError as error:
                if error.code == 404:
                    return
                raise ProviderError(str(error)) from error
            if uid and metadata(live).get("uid") != uid:
                return  # the old object is gone, someone made a new one under its name
            late = time.monotonic() >= deadline
            if late or self.cancelled.is_set():
                break
            await sleep_or(self.cancelled, pause)
            pause = min(pause * 1.5, _DELETE_POLL_SECONDS * 4)
        if finalizers := metadata(live).get("finalizers"):
            text = f"finalizers might be preventing deletion ({', '.join(finalizers)})"
            target.request.log.warning(text)
        state = checkpoint(target.old_inputs, live, target.request.state, target.initial, target.manager)
        name = target.name
        what = f"'{name}' timed out waiting to be deleted" if late else f"deletion of '{name}' was cancelled"
        raise InitFailedError(target.request.id, state, [what])

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


def _not_created(target: Target, text: str) -> ProviderError:
    return ProviderError(
        f"resource {target.urn} was not successfully created by the Kubernetes API server: {text}"
    )


def _not_updated(target: Target, live: dict[str, Any], why: list[str]) -> InitFailedError:
    message = (
        f'the Kubernetes API server reported that "{object_id(live)}" failed to fully initialize '
        f"or become live: {why[0]}"
    )
    return InitFailedError(object_id(live), target.state(live), [message, *why[1:]])
