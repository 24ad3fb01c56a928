"""A CoreDNS process as it is in the node image, on loopback, and the DNS server it forwards to."""

from __future__ import annotations

import socketserver
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from airgap.images.node.k3s_node import custom_dns, layout, render
from tests.harness.api_server import TOKEN, ApiServer
from tests.harness.ports import free_ports

CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
SERVICES = "/api/v1/namespaces/dapr-test/services"
ELSEWHERE = "203.0.113.7"
"""What the DNS server behind `forward` answers to everything."""
WITHIN_SECONDS = 15.0


class Upstream(socketserver.UDPServer):
    """The DNS server that CoreDNS forwards to: remembers every name it is asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[str] = []


class _Answer(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        query = dns.message.from_wire(self.rfile.read())
        name = query.question[0].name
        assert isinstance(self.server, Upstream)
        self.server.asked.append(str(name).rstrip("."))
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", ELSEWHERE))
        self.wfile.write(answer.to_wire())


class CoreDns:
    """The DNS of a cluster, and what is done to the cluster."""

    def __init__(self, api: ApiServer, upstream: Upstream, port: int) -> None:
        self.api = api
        self.upstream = upstream
        self.port = port

    def ask(self, name: str, kind: str = "A", *, port: int = 0) -> dns.message.Message:
        """One question over UDP. Raises OSError or dns.exception.Timeout."""
        query = dns.message.make_query(name, kind)
        return dns.query.udp(query, "127.0.0.1", port=port or self.port, timeout=2)

    def answers(self) -> bool:
        """Whether it serves."""
        with suppress(OSError, dns.exception.Timeout):
            return self.ask("kubernetes.default.svc.cluster.local").rcode() == dns.rcode.NOERROR
        return False

    def service(self, name: str) -> None:
        """Make a Service without selector, as the derived ones are."""
        ports = [{"name": "http", "port": 3000}]
        self.api.call("POST", SERVICES, {"metadata": {"name": name}, "spec": {"ports": ports}})

    def custom(self, data: dict[str, str]) -> None:
        """What `coredns-custom` holds from now on."""
        metadata = {"name": custom_dns.CONFIG_MAP, "namespace": "kube-system"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        where = f"{CONFIG_MAPS}/{custom_dns.CONFIG_MAP}?fieldManager=test&force=true"
        self.api.call("PATCH", where, body, content="apply")


def addresses(message: dns.message.Message) -> dict[str, str]:
    """Address by name, of the answer."""
    return {str(found.name): found[0].address for found in message.answer if found.rdtype == dns.rdatatype.A}


def eventually(what: str, check: Callable[[], bool]) -> float:
    """Seconds until it is so."""
    started = time.monotonic()
    while not check():
        assert time.monotonic() < started + WITHIN_SECONDS, f"not within {WITHIN_SECONDS:.0f} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - started


@contextmanager
def running(program: Path, api: ApiServer, folder: Path) -> Iterator[CoreDns]:
    """The node's CoreDNS on a port of loopback, and the thread of the node that follows the ConfigMap."""
    (port,) = free_ports(1)
    stopping = threading.Event()
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        stack.callback(upstream.shutdown)
        _configure(folder, port, api.kubeconfig, upstream)
        log = stack.enter_context((folder / "log").open("wb"))
        # Ends when we do, however that is: a killed test leaves no server behind.
        argv = ["setpriv", "--pdeathsig", "KILL", str(program), "-conf", str(folder / "Corefile")]
        process = stack.enter_context(subprocess.Popen(argv, stdout=log, stderr=log))
        stack.callback(process.kill)
        follow = (_getter(api), folder / "custom", stopping)
        threading.Thread(target=custom_dns.follow, args=follow, daemon=True).start()
        stack.callback(stopping.set)
        found = CoreDns(api, upstream, port)
        eventually(f"CoreDNS answers; its log is in {folder}", found.answers)
        yield found


def _configure(folder: Path, port: int, kubeconfig: Path, upstream: Upstream) -> None:
    """The node's Corefile, but for its places: port, files, and where it forwards to."""
    text = render.corefile()
    for theirs, ours in (
        (".:53 {", f".:{port} {{\n    bind 127.0.0.1"),
        (f"{layout.KUBERNETES}/coredns.conf", str(kubeconfig)),
        (str(layout.COREDNS), str(folder)),
        ("/etc/resolv.conf", f"127.0.0.1:{upstream.server_address[1]}"),
    ):
        assert theirs in text
        text = text.replace(theirs, ours)
    (folder / "Corefile").write_text(text)
    (folder / "NodeHosts").touch()
    custom_dns.write(folder / "custom", {})


def _getter(api: ApiServer) -> custom_dns.Get:
    """Opens pages of this API server as the node opens those of its own."""
    context = ssl._create_unverified_context()  # noqa: S323  its certificate is a minute old

    def get(path: str) -> AbstractContextManager[Any]:
        request = urllib.request.Request(  # noqa: S310
            api.url + path, headers={"Authorization": f"Bearer {TOKEN}"}
        )
        opened: AbstractContextManager[Any] = urllib.request.urlopen(  # noqa: S310
            request, context=context, timeout=custom_dns.SILENT_SECONDS
        )
        return opened

    return get
