"""A cluster's API through kubectl proxy: a program of that name that listens on the socket stands for it."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from platforms.world import CONFIG

from cli.observe import api, collect
from cli.observe.api import Api, ApiError, ClientConfig, open_apis
from cli.observe.collect import observe
from cli.observe.view import ClusterView
from stacks.config.loading import parse

KUBECTL = f"""#!{sys.executable} -ISE
import json, sys, time
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingUnixStreamServer

NOT_FOUND = {{"message": "the server could not find the requested resource"}}
PAGES = {{
    "/version": (200, {{"gitVersion": "v1.34.4"}}),
    "/refused": (403, {{"kind": "Status", "message": "pods is forbidden"}}),
    "/unreachable": (502, "dial tcp 127.0.0.1:6445:\\n connection refused"),
    "/page": (200, "no JSON at all"),
}}
GATEWAY = {{
    "metadata": {{"name": "gateway-1", "namespace": "multicluster-system", "labels": {{"app": "gateway"}}}},
    "spec": {{"containers": [{{"ports": [{{"name": "admin", "containerPort": 9090}}]}}]}},
    "status": {{"conditions": [{{"type": "Ready", "status": "True"}}]}},
}}
SYSTEM = "/api/v1/namespaces/multicluster-system/pods"
PAGES[SYSTEM] = (200, {{"items": [GATEWAY]}})
PAGES[SYSTEM + "/gateway-1:9090/proxy/config"] = (200, {{"cluster": "a/b/c/d"}})
PAGES[SYSTEM + "/gateway-1:9090/proxy/peers"] = (200, {{"peers": {{"a/b/c/e": []}}}})
TRUST = "/api/v1/namespaces/dapr-system/configmaps?fieldSelector=metadata.name%3Ddapr-trust-bundle"
BUNDLE = {{"metadata": {{"name": "dapr-trust-bundle", "namespace": "dapr-system"}}}}
PAGES[TRUST] = (200, {{"items": [BUNDLE]}})
LIST = (200, {{"items": [{{"metadata": {{"name": "one", "namespace": "dapr-test"}}}}]}})
POLICY = (200, {{"items": [{{"metadata": {{"name": "one", "namespace": "of-a-user"}}}}]}})

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/silent":
            time.sleep(60)
        of_others = "/of-a-user/" in self.path or self.path.endswith("globaltrafficpolicies")
        lacking = "flomesh.io" in self.path or "httpendpoints" in self.path
        found = POLICY if of_others else (404, NOT_FOUND) if lacking else LIST
        status, body = PAGES.get(self.path) or found
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self):
        return ""

    def log_message(self, *_):
        pass

arguments = sys.argv[1:]
if "exec" in arguments:
    sys.exit("error: unable to upgrade connection: container not found")
ThreadingUnixStreamServer.request_queue_size = 100
server = ThreadingUnixStreamServer(arguments[-1].removeprefix("--unix-socket="), Handler)
server.daemon_threads = True
print("Starting to serve", flush=True)
server.serve_forever()
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A process environment in which kubectl is the program above."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL)
    program.chmod(0o755)
    return {**os.environ, "PATH": str(program.parent)}


@pytest.fixture
async def cluster(env: dict[str, str]) -> AsyncIterator[Api]:
    async with open_apis({"cluster-1": ClientConfig("apiVersion: v1\n")}, env) as apis:
        yield apis["cluster-1"]


async def test_a_page_is_read_as_json(cluster: Api) -> None:
    assert await cluster.json("/version") == {"gitVersion": "v1.34.4"}


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/refused", 403, "pods is forbidden"),
        ("/unreachable", 502, "dial tcp 127.0.0.1:6445: connection refused"),
    ],
)
async def test_a_refusal_is_told_in_the_servers_words(
    cluster: Api, path: str, status: int, said: str
) -> None:
    with pytest.raises(ApiError, match=said) as caught:
        await cluster.text(path)
    assert caught.value.status == status


async def test_a_cluster_that_says_nothing_is_given_up_on(
    cluster: Api, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "ANSWER_SECONDS", 0.2)
    async with open_apis({"cluster-1": ClientConfig("")}, env) as apis:
        with pytest.raises(ApiError, match="does not answer within"):
            await apis["cluster-1"].text("/silent")


async def test_a_page_that_is_no_json_says_so(cluster: Api) -> None:
    with pytest.raises(ApiError, match="/page is no JSON"):
        await cluster.json("/page")


async def test_a_command_that_fails_is_told_in_kubectls_words(cluster: Api) -> None:
    with pytest.raises(ApiError, match="container not found"):
        await cluster.execute("exec", "pod", timeout=20)


async def test_the_kubeconfig_is_private_and_gone_afterwards(env: dict[str, str]) -> None:
    async with open_apis({"cluster-1": ClientConfig("apiVersion: v1\n")}, env) as apis:
        path = apis["cluster-1"].kubeconfig
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


def test_a_look_that_is_terminated_leaves_no_proxy_and_no_kubeconfig(env: dict[str, str]) -> None:
    opened: list[Api] = []

    async def look() -> None:
        async with open_apis({"cluster-1": ClientConfig("apiVersion: v1\n")}, env) as apis:
            opened.append(apis["cluster-1"])
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(60)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(look())
    assert not opened[0].kubeconfig.parent.exists()
    assert signal.getsignal(signal.SIGTERM) is before


async def test_a_context_is_handed_to_kubectl(tmp_path: Path) -> None:
    argv = Api(tmp_path, "east", ClientConfig("", "east-admin"), {}).kubectl("version")
    assert argv[-3:] == ["--context", "east-admin", "version"]


async def test_a_platform_is_read_as_far_as_it_answers(cluster: Api) -> None:
    settings = parse(CONFIG)
    platform = await observe("dev", settings, {"cluster-1": cluster}, missing={"cluster-2": "no kubeconfig"})
    read, other = platform.cluster("cluster-1"), platform.cluster("cluster-2")
    assert read.version == "v1.34.4"
    assert read.one("Service", "dapr-test", "one") is not None
    assert read.one("Service", "of-a-user", "one") is not None, "a policy names a service there"
    refused = read.unread["ServiceExport", ""]
    assert "could not find" in refused.reason
    assert refused.is_refused
    assert ("HTTPEndpoint", "") not in read.unread, "older versions of Dapr have none"
    assert read.one("ConfigMap", "dapr-system", "dapr-trust-bundle") is not None
    assert other.error == "no kubeconfig"


async def test_a_second_look_asks_at_once_for_what_the_first_found_and_waits_less(
    cluster: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = parse(CONFIG)
    first = await observe("dev", settings, {"cluster-1": cluster})
    turns: list[list[str]] = []
    read = collect._read

    async def noted(view: ClusterView, api: Api, pages: list[tuple[str, str]]) -> ClusterView:
        turns.append([path for _, path in pages])
        return await read(view, api, pages)

    monkeypatch.setattr(collect, "_read", noted)
    second = await observe("dev", settings, {"cluster-1": cluster}, before=first)
    assert second.cluster("cluster-1").objects == first.cluster("cluster-1").objects
    assert (len(turns), turns[1]) == (2, []), "nothing is left for another turn"
    monkeypatch.setattr(collect, "AGAIN_SECONDS", 0.0)
    third = await observe("dev", settings, {"cluster-1": cluster}, before=first)
    assert third.cluster("cluster-1").error == "does not answer within 0 s"


async def test_gateways_are_asked_about_mutual_tls_where_there_is_any(cluster: Api) -> None:
    settings = parse(CONFIG)
    (told,) = (await observe("dev", settings, {"cluster-1": cluster})).cluster("cluster-1").gateways
    assert (told.pod, told.config, told.peers) == ("gateway-1", {"cluster": "a/b/c/d"}, None)
    settings = parse({**CONFIG, "gateway": {"mutualTls": "permissive"}})
    (told,) = (await observe("dev", settings, {"cluster-1": cluster})).cluster("cluster-1").gateways
    assert (told.config, told.peers) == ({"cluster": "a/b/c/d"}, {"peers": {"a/b/c/e": []}})
