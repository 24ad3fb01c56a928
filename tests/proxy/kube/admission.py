"""The program's admission policies on a real API server, and requests as the account that they bind."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from proxy.kube.world import eventually

from components.mesh.admission import binding_spec
from tests.harness.api_server import BUSY_ANSWERS, CONTENT_TYPES, POLL_SECONDS

GROUP = "admissionregistration.k8s.io/v1"


class Bound:
    """What an account asks of an API server whose policies bind it."""

    def __init__(self, server: Any, token: str) -> None:
        self._server, self._token = server, token

    def call(self, method: str, path: str, body: Any = None, *, content: str = "merge") -> tuple[int, str]:
        """Status, and what the API server says of a refusal."""
        context = ssl._create_unverified_context()  # noqa: S323  its certificate is a minute old
        request = urllib.request.Request(  # noqa: S310
            self._server.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": CONTENT_TYPES["json" if method == "POST" else content],
            },
        )  # fmt: skip
        for _ in range(BUSY_ANSWERS):
            try:
                with urllib.request.urlopen(request, context=context, timeout=20) as answer:  # noqa: S310
                    return answer.status, ""
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.TOO_MANY_REQUESTS:
                    return error.code, str(json.loads(error.read())["message"])
                # It makes room for a kind that is new; every client of Kubernetes asks again.
                time.sleep(POLL_SECONDS)
        raise TimeoutError(f"{path} is answered 429 all the time")


def also(server: Any, account: str, rules: Sequence[Mapping[str, Any]]) -> None:
    """Let an account of multicluster-system do this as well, from soon on: rules as a role has them."""
    name, group = f"{account}-more", "rbac.authorization.k8s.io"
    role = {"kind": "ClusterRole", "rules": list(rules)}
    binding = {
        "kind": "ClusterRoleBinding",
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "multicluster-system"}],
    }
    items = [{"apiVersion": f"{group}/v1", "metadata": {"name": name}, **one} for one in (role, binding)]
    server.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def bind(server: Any, name: str, spec: dict[str, Any]) -> None:
    """Put a policy and its binding there; they hold from soon on."""
    objects = {
        "ValidatingAdmissionPolicy": spec,
        "ValidatingAdmissionPolicyBinding": binding_spec(name),
    }
    items = [
        {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": body}
        for kind, body in objects.items()
    ]
    server.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def refuses(bound: Bound, method: str, path: str, body: Any, words: str) -> None:
    """Wait until a request is refused with these words; it changes nothing where it is not."""

    def refused() -> bool:
        status, message = bound.call(method, f"{path}?dryRun=All", body)
        return status == 422 and words in message

    eventually(refused, f"{method} {path} is refused")
