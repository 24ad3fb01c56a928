"""`gateway serve` and `gateway check` as a user runs them: processes, files, signals."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

import gateway
from gateway import __version__
from gateway.__main__ import build_parser, main
from gateway.core.scan import is_native
from gateway.serve import ObjectsError, read_objects

KEY = "default/default/default/here"
PATIENCE = 60.0
"""Seconds after which a test that waits is a test that hangs."""


def write(folder: Path, *objects: Any, name: str = "objects.yaml") -> None:
    """In place of what was there at once, as editors and ConfigMap mounts do."""
    (folder / "new").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    (folder / "new").replace(folder / name)


def test_check_says_what_is_routed_where(
    make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        tmp_path,
        make.service(),
        make.slice("10.0.0.1"),
        make.export(pathRewrite={"from": "^/app", "to": "/"}),
    )
    write(tmp_path, make.imported("far", c1=81), make.policy("FailOver", "far", c1=5), name="far.yml")
    assert main(["check", "--objects", str(tmp_path), "--cluster-key", KEY]) == 0
    text = capsys.readouterr().out
    assert "Prefix /app -> demo/app:3000" in text
    assert "10.0.0.1:3000" in text
    assert "far.demo:3000 -> demo/far:3000 (FailOver)" in text
    assert "default/default/default/c1 weight 5: 127.0.0.1:81 path prefix /app" in text


def test_check_fails_on_problems_and_names_them(
    make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, make.export())
    assert main(["check", "--objects", str(tmp_path)]) == 1
    assert "problem: ServiceExport demo/app: ServiceNotFound" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["a: [", "just text", "- 1", "metadata: {}"])
def test_what_is_no_object_is_named_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(content, encoding="utf-8")
    assert main(["check", "--objects", str(file)]) == 2
    assert str(file) in capsys.readouterr().err
    with pytest.raises(ObjectsError):
        read_objects(file)


def test_lists_of_objects_are_unfolded(make: Any, tmp_path: Path) -> None:
    write(tmp_path, {"kind": "List", "apiVersion": "v1", "items": [make.service(), make.export()]}, None)
    assert [raw["kind"] for raw in read_objects(tmp_path)] == ["Service", "ServiceExport"]


def test_a_gateway_says_its_version_and_what_it_is_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    reader = "C" if is_native() else "Python"
    assert capsys.readouterr().out == f"gateway {__version__}, heads read by {reader}\n"
    said = []
    for _ in range(2):
        assert main(["sbom"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1], "the same installation makes the same document"
    document = json.loads(said[0])
    assert document["bomFormat"] == "CycloneDX"
    listed = {part["name"]: part for part in document["components"]}
    assert listed["uvloop"]["purl"] == f"pkg:pypi/uvloop@{metadata.version('uvloop')}"


@pytest.mark.parametrize("change", ["bodies=1", "clients=none"])
def test_a_limit_that_is_none_is_refused(change: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--objects", ".", "--cluster-key", KEY, "--listen", ":0", "--limit", change])
    assert change in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text", "hint"),
    [
        ("--service-ports", "20000", "20000-20255"),
        ("--service-ports", "2-1", "20000-20255"),
        ("--service-ports", "0-1", "20000-20255"),
        ("--service-ports", "60000-65536", "20000-20255"),
        ("--service-ports", "1000-6000", "at most 4096"),
        ("--cluster-domain", "cluster_local", "cluster.local"),
        ("--cluster-domain", ".cluster.local", "cluster.local"),
        ("--cluster-domain", "", "cluster.local"),
    ],
)
def test_ports_and_domains_that_are_none_are_refused_with_an_example(
    option: str, text: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--objects", ".", "--cluster-key", KEY, "--listen", ":0", f"{option}={text}"])
    said = capsys.readouterr().err
    assert repr(text) in said
    assert hint in said


def test_no_service_ports_are_an_empty_text() -> None:
    command = ["serve", "--objects", ".", "--cluster-key", KEY, "--listen", ":0"]
    read = build_parser().parse_args([*command, "--service-ports="])
    assert (list(read.service_ports), read.cluster_domain) == ([], "cluster.local")
    read = build_parser().parse_args([*command, "--service-ports", "20000-20001"])
    assert list(read.service_ports) == [20000, 20001]


@pytest.mark.parametrize("key", ["cluster-1", "a/b/c", "a//c/d", "a/b/c/d/e"])
def test_a_malformed_cluster_key_is_refused_with_an_example(
    key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--objects", ".", "--cluster-key", key, "--listen", "127.0.0.1:0"])
    assert "region/zone/group/name" in capsys.readouterr().err


@pytest.mark.parametrize("listen", ["8080", "127.0.0.1:http", "127.0.0.1:99999"])
def test_a_malformed_address_is_refused_with_an_example(
    tmp_path: Path, listen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--objects", str(tmp_path), "--cluster-key", KEY, "--listen", listen]) == 1
    assert "HOST:PORT" in capsys.readouterr().err


class Served:
    """A `gateway serve` process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        self.process = process
        self._log = process.stderr

    async def says(self, pattern: str) -> re.Match[str]:
        """Wait for a line of its log that matches."""
        async with asyncio.timeout(PATIENCE):
            while line := await self._log.readline():
                if found := re.search(pattern, line.decode()):
                    return found
        raise AssertionError(f"the gateway ended without saying {pattern!r}")

    async def ready(self) -> None:
        """Wait until it serves; its ports are known then."""
        found = await self.says(r"serving listen=127\.0\.0\.1:(\d+) admin=127\.0\.0\.1:(\d+)")
        self.port, self.admin = int(found[1]), int(found[2])

    async def end(self) -> list[dict[str, Any]]:
        """Stop it as an orderly end has it; its access log."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = await self.process.communicate()
        assert self.process.returncode == 0
        return [json.loads(line) for line in out.splitlines()]


Start = Callable[..., Awaitable[Served]]


@pytest.fixture
async def start(make: Any, net: Any, ok: Any, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts processes that serve an application, exported at /app."""
    app = await net.app(lambda head, _body: ok(head.split(b" ")[1]))
    write(tmp_path, make.service(), make.slice("127.0.0.1", port=app), make.export())
    started = []

    async def one(*more: str, listen: int = 0, admin: int = 0) -> Served:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "serve", "--objects", str(tmp_path), "--cluster-key", KEY,
            "--listen", f"127.0.0.1:{listen}", "--admin", f"127.0.0.1:{admin}", "--drain-seconds", "5", *more,
            env={**os.environ, "PYTHONPATH": str(Path(gateway.__file__).parents[1])},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return Served(process)

    yield one
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def served(start: Start) -> Served:
    found = await start()
    await found.ready()
    return found


async def test_two_gateways_with_one_key_and_a_rotation(
    start: Start, net: Any, make: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One gateway after the other learns the new key, and at no time is a call refused."""
    old, new = "01" * 32, "02" * 40
    importer = tmp_path_factory.mktemp("importer")
    files = importer / "keys-1", importer / "keys-2"
    for file in files:
        file.write_text(old)
    exporter = await start("--peers-key-file", str(files[0]))
    await exporter.ready()
    write(importer, make.imported(here=exporter.port), make.policy("ActiveActive"))
    other = await start(
        "--objects", str(importer), "--cluster-key", make.key("c2"), "--east-west", "127.0.0.1:0",
        "--peers-key-file", str(files[1]),
    )  # fmt: skip
    found = await other.says(r"serving listen=127\.0\.0\.1:\d+ east-west=127\.0\.0\.1:(\d+)")
    east = int(found[1])

    async def served() -> bool:
        status, _, body = await net.ask(east, "/x", "app.demo")
        return bool((status, body) == (200, b"/x"))

    assert await served()
    for content in ([old, new], [new, old], [new]):
        for file, process in zip(files, (exporter, other), strict=True):
            replaced = file.with_suffix(".new")
            replaced.write_text("\n".join(content))
            replaced.replace(file)
            await process.says("new configuration")
            assert await served()
    files[0].write_text("nothing")
    said = await exporter.says("kept the configuration in force: .*")
    assert "openssl rand" in said[0]
    assert await served()
    files[0].write_text(old)
    await exporter.says("new configuration")
    assert (await net.ask(east, "/x", "app.demo"))[0] == 421, "they share no key any more"
    log = await exporter.end()
    assert log[-1]["reason"] == "unknown-identity"
    assert (await other.end())[-1]["status"] == 421


async def test_files_are_followed_and_a_broken_one_changes_nothing(
    served: Served, make: Any, net: Any, tmp_path: Path
) -> None:
    assert (await net.ask(served.port, "/app/x"))[::2] == (200, b"/app/x")
    before = yaml.safe_load_all((tmp_path / "objects.yaml").read_text(encoding="utf-8"))
    (tmp_path / "objects.yaml").write_text("kind: [", encoding="utf-8")
    await served.says("kept the configuration in force")
    assert (await net.ask(served.port, "/app/x"))[0] == 200
    write(tmp_path, *before, make.export("app", "/new"))
    async with asyncio.timeout(20):
        while (await net.ask(served.port, "/new"))[0] != 200:  # noqa: ASYNC110  another process's doing
            await asyncio.sleep(0.1)


async def test_sigterm_drains_and_ends_well_with_every_request_logged(served: Served, net: Any) -> None:
    reader, writer = await net.connect(served.port)
    writer.write(b"GET /app HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await net.answer(reader))[0] == 200
    assert (await net.answer(reader))[0] == 404
    records = await served.end()
    assert [(record["status"], record["reason"]) for record in records] == [(200, "local"), (404, "no-route")]
    assert records[0]["cluster"] == KEY


async def test_processes_share_a_port_and_one_that_drains_answers_what_it_accepted(
    start: Start, net: Any
) -> None:
    first = await start("--reuse-port")
    await first.ready()
    second = await start("--reuse-port", listen=first.port)
    await second.ready()
    assert second.port == first.port
    assert second.admin != first.admin

    reset = 0

    async def ask(number: int) -> None:
        nonlocal reset
        for _ in range(number):
            try:
                answer = await net.ask(first.port, "/app")
            except ConnectionResetError:
                # The kernel had chosen the listener that closed at this moment; it was never accepted.
                reset += 1
                answer = await net.ask(first.port, "/app")
            assert answer[::2] == (200, b"/app")

    await ask(60)
    assert not reset
    counted = [await requests_of(one, net) for one in (first, second)]
    assert sum(counted) == 60
    assert min(counted) > 0, "the kernel spreads connections over both"
    load = asyncio.create_task(ask(200))
    logs = [await first.end()]
    await load
    await ask(10)
    logs.append(await second.end())
    assert reset <= 1, "the one request of a single client that met the closing listener"
    assert [record["status"] for log in logs for record in log] == [200] * 270
    for one, log in zip(counted, logs, strict=True):
        assert len(log) >= one
        assert len({record["request_id"][:16] for record in log}) == 1


async def requests_of(served: Served, net: Any) -> int:
    """Requests it has counted."""
    text = (await net.ask(served.admin, "/metrics"))[2].decode()
    return sum(
        int(line.split()[-1]) for line in text.splitlines() if line.startswith("gateway_requests_total")
    )


@pytest.mark.parametrize("option", [[], ["--reuse-port"]], ids=["alone", "shared"])
async def test_a_port_is_shared_only_when_both_say_so_and_the_admin_port_never(
    start: Start, option: list[str]
) -> None:
    first = await start("--reuse-port")
    await first.ready()
    listen = 0 if option else first.port
    second = await start(*option, listen=listen, admin=first.admin if option else 0)
    await second.says("gateway serve: .*address already in use")
    assert await second.process.wait() == 1
