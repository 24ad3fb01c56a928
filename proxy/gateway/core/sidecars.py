"""Dapr's sidecars as the last hop: which exports go through them, and what they are sent and answer.

A sidecar that is asked for `/v1.0/invoke/<app-id>.<namespace>/method/<path>` asks the sidecar of that app,
so that the app's access control lists, tracing and mTLS apply. Those that gateways ask stand in pods of their
own (Service SIDECARS), never in a gateway's pod: that would be ready only while Dapr is.

A sidecar takes orders from a request's fields before it looks at the path: `dapr-app-id`, also as a user of
Basic authentication, names another app. Nothing of that comes through.
"""

from __future__ import annotations

import re
from base64 import b64decode

from gateway.core.app_ids import APP_ID
from gateway.core.errors import ProtocolError
from gateway.core.fields import FieldError, mapping
from gateway.core.objects import SYSTEM_NAMESPACE, Key, Object
from gateway.core.paths import is_reachable

INVOKE = "multicluster.flomesh.io/dapr-invoke"
"""Annotation of an export with an app-id. `sidecar`: requests from outside the cluster reach the app through
a Dapr sidecar; `app`, or nothing: they go to the app's own port."""

SIDECARS: Key = (SYSTEM_NAMESPACE, "dapr-sidecars")
"""The Service of the sidecars that gateways ask."""
SIDECAR_PORT = 3500
"""Its port, Dapr's own for HTTP."""

DAPR_FIELD = re.compile(rb"\r\ndapr-[^\r:]*:[^\r]*", re.IGNORECASE)
BASIC_FIELD = re.compile(rb"\r\nauthorization:[ \t]*basic[ \t]+([^\r]*)", re.IGNORECASE)
APP_ID_USER = re.compile(rb"dapr-app-id:", re.IGNORECASE)

NOT_INVOKED = b'{"errorCode":"ERR_DIRECT_INVOKE"'
"""How the body of a sidecar's own answer begins when no application has answered it, behind status 500."""


def read_invoke(raw: Object, app_id: str) -> str:
    """The app-id by which an export is reached through sidecars; empty when it is reached at the app's port.

    `app_id` is what the export says, empty for none.

    FieldError when it says something else: whoever counts on the app's access control must not be taken past
    it.
    """
    annotations = mapping(mapping(raw.get("metadata"), "metadata").get("annotations"), "metadata.annotations")
    found = annotations.get(INVOKE, "app")
    if found == "app":
        return ""
    if found != "sidecar":
        raise FieldError("InvalidDaprInvoke", f"annotation {INVOKE} is {found!r}: give app or sidecar")
    if not app_id:
        message = f"annotation {INVOKE} is sidecar without an app-id to call: give {APP_ID} too"
        raise FieldError("InvalidDaprInvoke", message)
    return app_id


def invoke_prefix(app_id: str, namespace: str) -> bytes:
    """What stands before the request target for a sidecar."""
    return f"/v1.0/invoke/{app_id}.{namespace}/method".encode()


def check_method(target: bytes) -> bytes:
    """A target that may follow `invoke_prefix`. ProtocolError for one by which a sidecar would be asked for
    something else than that app: dot segments, which a rewrite can bring about, or `*`.
    """
    if not target.startswith(b"/"):
        raise ProtocolError("request target that is no path")
    if not is_reachable(target.partition(b"?")[0]):
        raise ProtocolError("request target with dot segments, or with a % that begins no escape")
    return target


def sidecar_fields(fields: bytes, token: bytes) -> bytes:
    """A request's fields for a sidecar: none of Dapr's own but the API token, when there is one."""
    fields = BASIC_FIELD.sub(_without_app_id, DAPR_FIELD.sub(b"", fields))
    return fields + b"\r\ndapr-api-token: " + token if token else fields


def _without_app_id(match: re.Match[bytes]) -> bytes:
    # Twelve characters that name no app, in sixteen of Base64; what cannot be decoded names nobody.
    try:
        names_an_app = APP_ID_USER.match(b64decode(match[1][:16]))
    except ValueError:
        names_an_app = None
    return b"" if names_an_app else match[0]


def not_invoked(status: int, body: bytes) -> bool:
    """Whether a sidecar answers for an application that did not. It may have been executed all the same."""
    return status == 500 and body.startswith(NOT_INVOKED)
