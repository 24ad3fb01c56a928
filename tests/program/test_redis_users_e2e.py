"""A real Redis with the file that the program makes, real Dapr sidecars, and what each user may there."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from airgap import debian
from airgap.gobuild import ensure_programs
from airgap.programs import programs
from airgap.report import Report
from airgap.versions import load_versions
from components.dapr.state_store import state_store_spec
from components.redis.users import ADMIN, User, redis_config
from tests.harness.ports import free_ports

pytestmark = pytest.mark.e2e

LOOPBACK = "127.0.0.1"
PATIENCE = 60.0
ADMIN_PASSWORD = "admins-own"
NODEAPP = User(name="nodeapp", app_id="nodeapp", database=0, actors=False)
OTHER = User(name="other", app_id="other", database=0, actors=False)
SHARED = [(NODEAPP, "of-nodeapp"), (OTHER, "of-other")]
OF_TWO, OF_THREE = (
    User(name=f"nodeapp.cluster-{number}", app_id="nodeapp", database=number, actors=True)
    for number in (2, 17)
)
APART = [(OF_TWO, "of-two"), (OF_THREE, "of-three")]


class Client:
    """One connection, in Redis' own words."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), 10)
        self._answers = self._socket.makefile("rb")

    def __call__(self, *words: str) -> Any:
        """The answer; an error as text that begins with a minus sign."""
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
        self._socket.sendall(b"*%d\r\n%s" % (len(words), parts))
        return self._answer()

    def _answer(self) -> Any:
        line = self._answers.readline().decode().rstrip()
        kind, rest = line[:1], line[1:]
        if kind == "$":
            return None if rest == "-1" else self._answers.read(int(rest) + 2)[:-2].decode()
        if kind == "*":
            return [self._answer() for _ in range(int(rest))]
        return int(rest) if kind == ":" else line if kind == "-" else rest

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


class Redis:
    """A server with its data in a folder; each start reads the file that it is given."""

    def __init__(self, folder: Path) -> None:
        self._binary = debian.require("redis-server", ["redis-server"], folder / "install.log", Report())
        self._folder = folder
        (self.port,) = free_ports(1)

    @contextmanager
    def running(self, config: str) -> Iterator[Callable[..., Client]]:
        """Gives what connects: as nobody, or as a user with a password."""
        path = self._folder / "redis.conf"
        assert "dir /data\n" in config
        path.write_text(config.replace("dir /data", f"dir {self._folder}"))
        argv = [self._binary, str(path), "--port", str(self.port), "--bind", LOOPBACK]
        with (self._folder / "redis.log").open("ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        with ExitStack() as stack:
            stack.callback(process.wait)
            stack.callback(process.terminate)  # it writes out what it has
            end = time.monotonic() + PATIENCE
            while True:
                with suppress(OSError):
                    Client(self.port).close()
                    break
                assert process.poll() is None, (self._folder / "redis.log").read_text()
                assert time.monotonic() < end
                time.sleep(0.05)

            def connect(*who: str) -> Client:
                client = Client(self.port)
                stack.callback(client.close)
                if who:
                    assert client("AUTH", *who) == "OK"
                return client

            yield connect


@pytest.fixture
def redis(tmp_path: Path) -> Redis:
    (tmp_path / "redis").mkdir()
    return Redis(tmp_path / "redis")


@pytest.fixture(scope="module")
def daprd() -> Path:
    if shutil.which("go") is None:
        pytest.skip("Dapr is built from Go modules, and there is no `go` on PATH")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multicluster-dapr"
    program = programs(load_versions())["daprd"]
    return ensure_programs(cache, [program], Report())["daprd"]


STORE = "statestore"
Ask = Callable[..., tuple[int, Any, str | None]]
Sidecar = Callable[..., AbstractContextManager[Ask]]


@pytest.fixture
def sidecar(tmp_path: Path, redis: Redis, daprd: Path) -> Sidecar:
    """Starts a sidecar with the state store of the program; gives what asks it."""

    @contextmanager
    def run(name: str, user: User, password: str, *, app_id: str = "") -> Iterator[Ask]:
        folder = tmp_path / name
        folder.mkdir()
        spec: Any = state_store_spec(
            f"{LOOPBACK}:{redis.port}", secret="redis", username=user.name, database=user.database,
            actors=user.actors,
        )  # fmt: skip
        for entry in spec["metadata"]:
            if entry.pop("secretKeyRef", None):
                entry["value"] = password
        component = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": STORE}}
        (folder / "statestore.yaml").write_text(yaml.safe_dump({**component, "spec": spec}))
        http, internal, grpc = free_ports(3)
        argv = [
            daprd, f"--app-id={app_id or user.app_id}", f"--resources-path={folder}",
            f"--dapr-http-port={http}", f"--dapr-internal-grpc-port={internal}", f"--dapr-grpc-port={grpc}",
            f"--dapr-listen-addresses={LOOPBACK}", f"--dapr-internal-grpc-listen-address={LOOPBACK}",
            "--enable-metrics=false",
        ]  # fmt: skip
        with (folder / "daprd.log").open("ab") as log:
            process = subprocess.Popen([str(word) for word in argv], stdout=log, stderr=log, cwd=folder)

        def ask(method: str, path: str, body: Any = None, **fields: str) -> tuple[int, Any, str | None]:
            request = urllib.request.Request(
                f"http://{LOOPBACK}:{http}/v1.0/{path}",
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", **fields},
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                    text = answer.read()
                    return answer.status, json.loads(text) if text else None, answer.headers["ETag"]
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode(), None

        end = time.monotonic() + PATIENCE
        try:
            while True:
                with suppress(OSError):
                    if ask("GET", "healthz/outbound")[0] == 204:
                        break
                assert process.poll() is None, (folder / "daprd.log").read_text()
                assert time.monotonic() < end, (folder / "daprd.log").read_text()
                time.sleep(0.1)
            yield ask
        finally:
            process.kill()
            process.wait()

    return run


STATE = f"state/{STORE}"


def test_sidecars_of_one_app_do_all_that_dapr_can_and_share_it(redis: Redis, sidecar: Sidecar) -> None:
    config = redis_config(admin_password=ADMIN_PASSWORD, users=SHARED)
    with (
        redis.running(config) as connect,
        sidecar("cluster-1", *SHARED[0]) as one,
        sidecar("cluster-3", *SHARED[0]) as three,
    ):
        assert one("POST", STATE, [{"key": "order", "value": {"orderId": "42"}}])[0] == 204
        status, found, etag = three("GET", f"{STATE}/order")
        assert (status, found) == (200, {"orderId": "42"}), "written in one cluster, read in another"
        guarded = [{"key": "order", "value": 2, "etag": etag, "options": {"concurrency": "first-write"}}]
        assert three("POST", STATE, guarded)[0] == 204
        assert one("POST", STATE, guarded)[0] == 409, "somebody else has written it meanwhile"
        assert one("DELETE", f"{STATE}/order", **{"If-Match": str(etag)})[0] == 409
        steps = [
            {"operation": "upsert", "request": {"key": "a", "value": 1}},
            {"operation": "upsert", "request": {"key": "b", "value": 2, "metadata": {"ttlInSeconds": "60"}}},
            {"operation": "delete", "request": {"key": "order"}},
        ]
        assert one("POST", f"{STATE}/transaction", {"operations": steps})[0] == 204
        assert three("GET", f"{STATE}/order")[0] == 204
        _, bulk, _ = three("POST", f"{STATE}/bulk", {"keys": ["a", "b", "c"]})
        assert {entry["key"]: entry.get("data") for entry in bulk} == {"a": 1, "b": 2, "c": None}
        forever = [{"key": "b", "value": 3, "metadata": {"ttlInSeconds": "-1"}}]
        assert three("POST", STATE, forever)[0] == 204
        admin = connect(ADMIN, ADMIN_PASSWORD)
        assert sorted(admin("KEYS", "*")) == ["nodeapp||a", "nodeapp||b"], "below the app's own prefix"
        assert admin("TTL", "nodeapp||b") == -1


def test_another_app_with_the_users_secret_gets_nothing(redis: Redis, sidecar: Sidecar) -> None:
    with (
        redis.running(redis_config(admin_password=ADMIN_PASSWORD, users=SHARED)) as connect,
        sidecar("thief", NODEAPP, "of-nodeapp", app_id="other") as thief,
    ):
        connect(ADMIN, ADMIN_PASSWORD)("HSET", "other||order", "data", "1", "version", "1")
        assert thief("GET", f"{STATE}/order")[0] == 500
        assert thief("POST", STATE, [{"key": "order", "value": 2}])[0] == 500


REFUSED = [
    ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("SCAN", "0"), ("RANDOMKEY",), ("DBSIZE",),
    ("CONFIG", "GET", "*"), ("CONFIG", "SET", "dir", "/tmp"), ("ACL", "LIST"), ("ACL", "WHOAMI"),
    ("CLIENT", "LIST"), ("CLIENT", "KILL", "TYPE", "normal"), ("MONITOR",),
    ("SHUTDOWN",), ("SAVE",), ("REPLICAOF", LOOPBACK, "1"), ("SLAVEOF", LOOPBACK, "1"), ("MODULE", "LIST"),
    ("SCRIPT", "FLUSH"), ("FUNCTION", "FLUSH"), ("SWAPDB", "0", "1"), ("SELECT", "1"), ("MIGRATE", LOOPBACK,
     "1", "nodeapp||order", "0", "1"), ("PUBLISH", "a", "b"), ("SUBSCRIBE", "a"),
    ("HGETALL", "other||order"), ("GET", "other||order"), ("DEL", "other||order"), ("GET", "order"),
    ("DEL", "nodeapp||order", "other||order"), ("EXPIRE", "other||order", "1"), ("GET", "nodeapp2||order"),
    ("EVAL", "return redis.call('HGETALL', KEYS[1])", "1", "other||order"),
    ("COPY", "nodeapp||order", "nodeapp||copy", "DB", "1"), ("MOVE", "nodeapp||order", "1"),
    ("RENAME", "nodeapp||order", "other||order"),
]  # fmt: skip
HIDDEN = [  # keys that a script does not declare
    "return redis.call('HGETALL', 'other||order')",
    "return redis.call('FLUSHALL')",
    "return redis.call('SELECT', '1')",
]


def test_a_user_gets_no_further_than_its_own_keys(redis: Redis) -> None:
    with redis.running(redis_config(admin_password=ADMIN_PASSWORD, users=SHARED)) as connect:
        admin = connect(ADMIN, ADMIN_PASSWORD)
        for app_id in ("nodeapp", "other"):
            admin("HSET", f"{app_id}||order", "data", "1", "version", "1")
        nodeapp = connect("nodeapp", "of-nodeapp")
        answers = {" ".join(words): nodeapp(*words) for words in REFUSED}
        allowed = {
            words: answer for words, answer in answers.items() if not str(answer).startswith("-NOPERM")
        }
        assert not allowed
        for script in HIDDEN:
            assert "The user executing the script can't" in nodeapp("EVAL", script, "0"), script
        assert nodeapp("HGETALL", "nodeapp||order") == ["data", "1", "version", "1"]
        assert connect("other", "of-other")("HGETALL", "other||order") == ["data", "1", "version", "1"]
        assert admin("DBSIZE") == 2, "nothing is gone"


def test_nobody_comes_in_without_a_name(redis: Redis) -> None:
    with redis.running(redis_config(admin_password=ADMIN_PASSWORD, users=SHARED)) as connect:
        nobody = connect()
        assert nobody("PING").startswith("-NOAUTH"), "which is an answer: it shows that Redis is there"
        assert nobody("GET", "nodeapp||order").startswith("-NOAUTH")
        for password in (ADMIN_PASSWORD, "of-nodeapp", ""):
            assert nobody("AUTH", password).startswith("-WRONGPASS"), "the one name that is not given is off"
        assert nobody("AUTH", "nodeapp", "of-other").startswith("-WRONGPASS")


def test_the_clusters_of_one_app_are_apart_with_their_actors(redis: Redis, sidecar: Sidecar) -> None:
    config = redis_config(admin_password=ADMIN_PASSWORD, users=APART)
    with redis.running(config) as connect, sidecar("cluster-2", *APART[0]) as two:
        assert two("POST", STATE, [{"key": "order", "value": 1}])[0] == 204
        mine = connect(OF_TWO.name, "of-two")
        assert mine("SELECT", "2") == "OK"
        # As Dapr writes actors: in one transaction, below no prefix of the component's own.
        actor = "nodeapp||Order||42||total"
        assert mine("MULTI") == "OK"
        assert (
            mine("EVAL", "return redis.call('HSET', KEYS[1], 'data', ARGV[1])", "1", actor, "7") == "QUEUED"
        )
        assert mine("EXEC") == [1]
        assert mine("SCAN", "0", "MATCH", "nodeapp||*")[1], "workflows are listed"
        assert mine("SELECT", "17").startswith("-NOPERM")
        theirs = connect(OF_THREE.name, "of-three")
        assert theirs("SELECT", "2").startswith("-NOPERM")
        assert theirs("HGETALL", actor) == [], "where every connection begins, nobody has anything"
        assert theirs("SELECT", "17") == "OK"
        assert theirs("HGETALL", actor) == []


def test_what_was_kept_before_there_were_users_is_there(redis: Redis, sidecar: Sidecar) -> None:
    before = 'dir /data\nappendonly yes\nrequirepass "everybodys"\n'
    with redis.running(before) as connect:
        everybody = connect("everybodys")
        everybody("HSET", "nodeapp||order", "data", '{"orderId":"42"}', "version", "1")
    with (
        redis.running(redis_config(admin_password=ADMIN_PASSWORD, users=SHARED)),
        sidecar("cluster-1", *SHARED[0]) as one,
    ):
        assert one("GET", f"{STATE}/order")[1] == {"orderId": "42"}
