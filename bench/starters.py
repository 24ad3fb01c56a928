"""Starting what is compared, each in front of the same application with the same routes."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path

from bench.between import CALLER, Proofs
from bench.programs import BenchError, Running, gateway_argv, start
from bench.setting import BODIES, CLUSTER, Bench, free_port, gateway_objects, paths, render
from bench.slices import in_short_turns

ROUTE_SECONDS = 300.0
"""Until Traefik has read ten thousand routes."""

KEPT, KEPT_OF_MANY = 512, 64
"""Idle connections of one service. nginx sets aside memory for as many, for each service."""

ONE_CORE = {"GOMAXPROCS": "1"}
"""For what is written in Go: as many threads as cores, and it is pinned to one."""


def start_backend(bench: Bench, name: str = "application", proofs: Proofs | None = None) -> Running:
    """The application: nginx that answers from memory, small answers with its port.

    `proofs`: by mutual TLS.
    """
    files, port = bench.folder / "files", free_port()
    files.mkdir(exist_ok=True)
    for body, size in BODIES.items():
        (files / body).write_bytes(b"x" * size)
    tls = {"tls": "ssl" if proofs else "", "tls_lines": proofs.application if proofs else ""}
    config = write(bench, "backend.conf", f"{name}.conf", backend=port, name=name, **tls)
    argv = in_short_turns(["nginx", "-c", str(config)])
    return start(name, argv, core=bench.load_core, port=port, folder=bench.folder)


def start_gateway(
    bench: Bench, backend: int, routes: int = 1, *, log: bool = False, name: str = "gateway"
) -> Running:
    objects, port = bench.folder / f"{name}-objects.json", free_port()
    objects.write_text(gateway_objects(routes, backend))
    argv = gateway_argv(
        *["serve", "--objects", str(objects), "--cluster-key", CLUSTER, "--listen", f"127.0.0.1:{port}"],
        *["--admin", f"127.0.0.1:{free_port()}", "--access-log" if log else "--no-access-log"],
    )
    return start(name, argv, core=bench.proxy_core, port=port, folder=bench.folder, env=bench.environment)


def start_between(bench: Bench, member: int, proofs: Proofs) -> Running:
    """The gateway of a caller's cluster, before another cluster's."""
    objects, port = bench.folder / "caller-objects.json", free_port()
    objects.write_text(proofs.objects(member))
    argv = gateway_argv(
        *["serve", "--objects", str(objects), "--cluster-key", CALLER, "--no-access-log"],
        *["--listen", f"127.0.0.1:{free_port()}", "--east-west", f"127.0.0.1:{port}"],
        *["--admin", f"127.0.0.1:{free_port()}", *proofs.arguments(CALLER, free_port())],
    )
    return start(
        "gateway", argv, core=bench.proxy_core, port=port, folder=bench.folder, env=bench.environment
    )


def start_nginx(
    bench: Bench, backend: int, routes: int = 1, *, log: bool = False, proofs: Proofs | None = None
) -> Running:
    port = free_port()
    for file, text in nginx_routes(routes, backend, "https" if proofs else "http").items():
        (bench.folder / file).write_text(text)
    logged = "/dev/null bench buffer=64k flush=1s" if log else "off"
    lines = proofs.nginx if proofs else ""
    config = write(bench, "nginx.conf", port=port, nginx_log=logged, tls_lines=lines)
    return start_peer(bench, "nginx", port, "-c", str(config))


def start_haproxy(
    bench: Bench, backend: int, routes: int = 1, *, log: bool = False, proofs: Proofs | None = None
) -> Running:
    port = free_port()
    for file, text in haproxy_routes(routes, backend, proofs.haproxy if proofs else "").items():
        (bench.folder / file).write_text(text)
    lines = "log global\n    option httplog" if log else "no log"
    config = write(bench, "haproxy.cfg", port=port, haproxy_log_lines=lines)
    backends = bench.folder / "haproxy-backends.cfg"
    return start_peer(bench, "haproxy", port, "-db", "-f", str(config), "-f", str(backends))


def start_traefik(bench: Bench, backend: int, routes: int = 1, *, log: bool = False) -> Running:
    port = free_port()
    lines = "accessLog: {format: json, bufferingSize: 1000}" if log else ""
    config = write(bench, "traefik.yml", port=port, traefik_log_lines=lines)
    write(bench, "traefik-routes.yml", **traefik_routes(routes, backend))
    running = start_peer(bench, "traefik", port, f"--configfile={config}")
    await_route(running, paths(routes)[-1])
    return running


def nginx_routes(routes: int, backend: int, scheme: str = "http") -> dict[str, str]:
    """Files for nginx by name: a location for each path, and an upstream of its own for each."""
    kept = KEPT if routes == 1 else KEPT_OF_MANY
    upstreams = "".join(
        f"upstream service-{number} {{ server 127.0.0.1:{backend}; keepalive {kept}; "
        "keepalive_requests 100000000; }\n"
        for number in range(routes)
    )
    locations = "".join(
        f"location {path} {{ proxy_pass {scheme}://service-{number}; }}\n"
        for number, path in enumerate(paths(routes))
    )
    return {"nginx-upstreams.conf": upstreams, "nginx-locations.conf": locations}


def haproxy_routes(routes: int, backend: int, tls: str = "") -> dict[str, str]:
    """Files for HAProxy by name: the map of paths, and a backend for each."""
    backends = "".join(
        f"backend service-{number}\n"
        f"    server one 127.0.0.1:{backend} maxconn 2000 pool-max-conn {KEPT} {tls}\n"
        for number in range(routes)
    )
    routed = "".join(f"{path} service-{number}\n" for number, path in enumerate(paths(routes)))
    return {"haproxy.map": routed, "haproxy-backends.cfg": backends}


def traefik_routes(routes: int, backend: int) -> dict[str, str]:
    """For Traefik a router and a service for each path, as YAML below `routers` and `services`."""
    routers = "".join(
        f"    route-{number}: {{rule: 'PathPrefix(`{path}`)', service: service-{number}}}\n"
        for number, path in enumerate(paths(routes))
    )
    server = f'{{loadBalancer: {{serversTransport: kept, servers: [{{url: "http://127.0.0.1:{backend}"}}]}}}}'
    services = "".join(f"    service-{number}: {server}\n" for number in range(routes))
    return {"traefik_routers": routers, "traefik_services": services}


Starter = Callable[..., Running]
STARTERS: Mapping[str, Starter] = {"nginx": start_nginx, "haproxy": start_haproxy, "traefik": start_traefik}
SECURE = {"nginx", "haproxy"}
"""Those that can be given `proofs`."""


def peers(bench: Bench) -> dict[str, Starter]:
    """The peers this machine has."""
    return {name: starter for name, starter in STARTERS.items() if name in bench.peers}


def about_peers(bench: Bench) -> list[str]:
    """Which versions are compared with, and why one is not."""
    found = [f"{name} {_version(bench, name)}" for name in peers(bench)]
    notes = [f"Compared with {', '.join(found)}."] if found else []
    return notes + [
        f"Not compared with {name}: {reason}" for name, reason in bench.absent.items() if name in STARTERS
    ]


def _version(bench: Bench, name: str) -> str:
    argv = [bench.peers[name], "version" if name == "traefik" else "-v"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    match = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return match[0] if match else "of unknown version"


def start_peer(bench: Bench, name: str, port: int, *arguments: str) -> Running:
    """A peer with its configuration, on the proxy's core."""
    argv = [bench.peers[name], *arguments]
    return start(name, argv, core=bench.proxy_core, port=port, folder=bench.folder, env=ONE_CORE)


def await_route(running: Running, path: str) -> None:
    """Traefik listens before it has read its routes, and answers 404: wait until it does not for this one."""
    deadline = time.monotonic() + ROUTE_SECONDS
    try:
        while not _routes(running.port, path):
            time.sleep(0.1)
            if time.monotonic() > deadline:
                raise BenchError(f"{running.name} has no route for {path} after {ROUTE_SECONDS:g} s")  # noqa: TRY301
    except BaseException:
        running.stop()
        raise


def _routes(port: int, path: str) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).close()
    except urllib.error.HTTPError as error:
        return error.code != HTTPStatus.NOT_FOUND
    except TimeoutError:
        return True  # an application that is meant to be silent has been asked
    return True


def write(bench: Bench, template: str, name: str = "", /, **values: object) -> Path:
    """A file of `peers/`, filled in, in the section's own folder."""
    path = bench.folder / (name or template)
    path.write_text(render(template, folder=bench.folder, **values))
    return path
