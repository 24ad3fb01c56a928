"""The gateway without Kubernetes: the same objects, read from YAML files and followed as they change."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from gateway import process
from gateway.certificate_files import follow_certificate, read_certificate
from gateway.core.describe import describe_route
from gateway.core.dialling import Dialling
from gateway.core.problem import Problem
from gateway.core.snapshot import Compiled, compile_snapshot
from gateway.edge.garbage import look_through, undisturbed
from gateway.edge.server import GatewayServer
from gateway.options import dapr_token, hosts, make_server
from gateway.peers_file import PeersFileError, Stamp, read_keys, stamp

POLL_SECONDS = 0.5
"""How often files are looked at. Looking means one stat per file."""

MAX_OBJECTS_BYTES = 64 * 1024 * 1024
"""All files together; beyond, the last good configuration stays."""

SUFFIXES = {".yaml", ".yml", ".json"}

Signature = tuple[tuple[str, int, int, int], ...]
"""Name, time of change, size and number of each file."""

log = logging.getLogger("gateway.serve")


class ObjectsError(Exception):
    """Files that cannot be read as objects. The message names the file and where in it."""


def object_files(path: Path) -> list[Path]:
    """The files at `path`, itself or in the folder, in order of name."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    return [path]


def signature(path: Path) -> Signature:
    """What changes when a file does. Files that vanish meanwhile are left out."""
    found = []
    for file in object_files(path):
        try:
            stat = file.stat()
        except OSError:
            continue
        found.append((str(file), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


def read_objects(path: Path) -> list[dict[str, Any]]:
    """Every object in the files, those of a List one by one. ObjectsError names an unreadable file."""
    objects: list[dict[str, Any]] = []
    total = 0
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in object_files(path):
        try:
            content = file.read_bytes()
            total += len(content)
            if total > MAX_OBJECTS_BYTES:
                raise ObjectsError(f"{path} holds more than {MAX_OBJECTS_BYTES} bytes of objects")
            # JSON is YAML, and ten times as quick to read as what it is.
            documents = [json.loads(content)] if file.suffix == ".json" else yaml.load_all(content, loader)
            for document in documents:
                objects.extend(_unfold(document, file))
        except OSError as error:
            raise ObjectsError(f"cannot read {file}: {error.strerror}") from error
        except json.JSONDecodeError as error:
            raise ObjectsError(f"{file} is not JSON: {error}") from error
        except yaml.YAMLError as error:
            raise ObjectsError(f"{file} is not YAML: {error}") from error
    return objects


def _unfold(document: Any, file: Path) -> Iterator[dict[str, Any]]:
    if document is None:
        return
    if not isinstance(document, dict) or not document.get("kind"):
        raise ObjectsError(f"{file} holds something that is no Kubernetes object: no kind")
    if str(document["kind"]).endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _unfold(item, file)
    else:
        yield document


def problem_line(problem: Problem) -> str:
    return f"{problem.kind} {problem.namespace}/{problem.name}: {problem.reason}: {problem.message}"


def check(args: argparse.Namespace) -> int:
    """`gateway check`: print routes and problems. 0 fine, 1 problems, 2 unreadable."""
    try:
        compiled = compile_snapshot(
            read_objects(Path(args.objects)), args.cluster_key, args.front_door, hosts=hosts(args)
        )
    except ObjectsError as error:
        sys.stderr.write(f"gateway check: {error}\n")
        return 2
    snapshot = compiled.snapshot
    between = [("between clusters alone", list(snapshot.unpublished))] if snapshot.unpublished else []
    for title, routes in (
        ("north-south", snapshot.path_routes()),
        *between,
        ("east-west", snapshot.host_routes()),
    ):
        sys.stdout.write(f"{title} of {args.cluster_key}\n")
        for route in routes:
            sys.stdout.write(f"  {route.where} -> {route.service}:{route.port} ({route.policy})\n")
            for level, priority in enumerate(describe_route(route)["priorities"]):
                for cluster in priority:
                    endpoints = ", ".join(cluster["endpoints"]) or "no ready endpoint"
                    change = f" rewrite {json.dumps(cluster['rewrite'])}" if cluster["rewrite"] else ""
                    change += f" path prefix {cluster['prefix']}" if cluster["prefix"] else ""
                    order = "then " if level else ""
                    sys.stdout.write(
                        f"    {order}{cluster['cluster']} weight {cluster['weight']}: {endpoints}{change}\n"
                    )
    for problem in compiled.problems:
        sys.stdout.write(f"problem: {problem_line(problem)}\n")
    for export in compiled.exports:
        for note in export.notes:
            sys.stdout.write(f"note: ServiceExport {'/'.join(export.key)}: {note}\n")
    return 1 if compiled.problems else 0


def load(path: Path, args: argparse.Namespace) -> Compiled:
    """Read, compile, and log each problem. ObjectsError or PeersFileError when that cannot be done."""
    with undisturbed():
        compiled = compile_snapshot(
            read_objects(path),
            args.cluster_key,
            args.front_door,
            cluster_domain=args.cluster_domain,
            listening=args.service_ports,
            dapr_token=dapr_token(),
            peers=read_keys(args.peers_key_file),
            dialling=Dialling(args.dial_loopback, args.foreign_imports),
            hosts=hosts(args),
            mutual_tls=args.mutual_tls,
        )
    for problem in compiled.problems:
        log.warning("%s", problem_line(problem))
    return compiled


def main(args: argparse.Namespace) -> int:
    """`gateway serve`: run until SIGTERM or SIGINT."""
    try:
        return process.run(partial(_serve, args), args.log_level)
    except (ObjectsError, ValueError, OSError) as error:
        sys.stderr.write(f"gateway serve: {error}\n")
        return 1


async def _serve(args: argparse.Namespace, stop: asyncio.Event) -> int:
    path = Path(args.objects)
    seen = signature(path), stamp(args.peers_key_file)
    compiled = load(path, args)
    server = make_server(args)
    server.swap(compiled.snapshot)
    if args.certificate is not None:
        server.set_certificate(read_certificate(args.certificate, args.cluster_key))
    # As in `run`: nobody is served yet, and what is here now is here to stay.
    look_through()
    await server.start()
    server.set_ready(True)
    log.info(
        "serving %s", " ".join(f"{name}={host}:{port}" for name, (host, port) in server.addresses.items())
    )
    return await process.work_until(
        stop,
        _follow_all(args, path, seen, server),
        lambda: server.drain(args.drain_seconds, args.drain_delay),
    )


async def _follow_all(
    args: argparse.Namespace, path: Path, seen: tuple[Signature, Stamp], server: GatewayServer
) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_follow(args, path, seen, server), name="follow the objects")
        if args.certificate is not None:
            following = follow_certificate(args.certificate, args.cluster_key, server.set_certificate)
            tasks.create_task(following, name="follow the certificate")


async def _follow(
    args: argparse.Namespace, path: Path, seen: tuple[Signature, Stamp], server: GatewayServer
) -> None:
    """Reload whenever a file has changed. Half-written files keep the last good configuration."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        now = signature(path), stamp(args.peers_key_file)
        if now == seen:
            continue
        seen = now
        try:
            compiled = await asyncio.to_thread(load, path, args)
        except (ObjectsError, PeersFileError) as error:
            log.error("kept the configuration in force: %s", error)  # noqa: TRY400  the message says it all
        else:
            server.swap(compiled.snapshot)
            log.info("new configuration from %s, %d problems", path, len(compiled.problems))
