"""The Docker daemon: the one that runs already, else one of our own that leaves nothing else touched."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airgap import debian
from airgap.capabilities import install_wrapper, missing_on_this_machine
from airgap.report import Report, SupplyError

RUN = Path("/run/multicluster-dapr")
SOCKET = RUN / "docker.sock"
PIDFILE = RUN / "docker.pid"
USERS = RUN / "users"
SYSTEM_SOCKET = Path("/var/run/docker.sock")
ANSWER_SECONDS = 5
START_SECONDS = 60
STOP_SECONDS = 60  # containers get ten seconds each to end


def own_host() -> str:
    return f"unix://{SOCKET}"


def answers(host: str) -> bool:
    """Whether a Docker daemon answers at this DOCKER_HOST."""
    if host.startswith("unix://"):
        return _answers_at(host.removeprefix("unix://"))
    import docker  # noqa: PLC0415  a tenth of a second, which commands do without
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        client = docker.DockerClient(base_url=host, timeout=ANSWER_SECONDS)
    except (DockerException, ValueError):
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def _answers_at(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(ANSWER_SECONDS)
        try:
            asking.connect(path)
            asking.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            with asking.makefile("rb") as answer:
                return answer.readline(64).split()[1:2] == [b"200"]
        except OSError:
            return False


def running_daemon() -> str | None:
    """DOCKER_HOST of a daemon that answers now: the user's choice, ours, the system's, in this order."""
    chosen = os.environ.get("DOCKER_HOST")
    if chosen and chosen != own_host():
        if answers(chosen):
            return chosen
        raise SupplyError(
            f"DOCKER_HOST={chosen} is set, but no Docker daemon answers there: "
            "start that daemon, or unset DOCKER_HOST to let another one be used."
        )
    for path in (SOCKET, SYSTEM_SOCKET):
        if answers(f"unix://{path}"):
            return f"unix://{path}"
    return None


def lacking() -> str:
    """Why there can be no daemon here, and what to do; empty when one runs or can be started.

    Raises SupplyError when the user's own choice of a daemon does not answer.
    """
    if running_daemon() is not None or debian.can_install():
        return ""
    return (
        "No Docker daemon answers (DOCKER_HOST is not set, /var/run/docker.sock does not answer), and "
        "only root on Debian can have one started here. Install and start Docker "
        "(docs.docker.com/engine/install), add your user to the group docker, and run again."
    )


def ensure_daemon(cache: Path, report: Report) -> str:
    """DOCKER_HOST of a daemon that answers, starting one of our own if none does.

    The own daemon keeps its data under `cache`/docker and outlives the caller.
    """
    host = running_daemon()
    if host is not None:
        return host
    if lack := lacking():
        raise SupplyError(lack)
    logs = cache / "logs"
    dockerd = debian.require("dockerd", ["docker.io", "iptables"], logs / "apt.log", report)
    debian.require("iptables", ["iptables"], logs / "apt.log", report)
    debian.keep_disabled(["docker.service", "docker.socket", "containerd.service"])
    with report.step("Starting a Docker daemon") as step:
        _start(dockerd, cache, logs / "dockerd.log")
        step.update(f"answers at {own_host()}")
    return own_host()


@contextmanager
def in_use() -> Iterator[None]:
    """Meanwhile nobody stops our own daemon. The kernel ends this with the process, however it dies."""
    if _own_pid() is None:
        yield
        return
    with USERS.open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield


def stop_daemon(report: Report) -> bool:
    """Stop our own daemon, and no other, unless somebody uses it; whether it was stopped."""
    pid = _own_pid()
    if pid is None:
        return False
    with USERS.open("a") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.note(f"The Docker daemon at {own_host()} stays: another ./stack uses it.")
            return False
        running = _running_containers()
        if running:
            report.note(f"The Docker daemon at {own_host()} stays: {running} containers run on it.")
            return False
        _stop(pid)
    return True


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _own_pid() == pid:
        if time.monotonic() > deadline:
            raise SupplyError(f"Our Docker daemon, process {pid}, did not stop in {STOP_SECONDS} s: end it.")
        time.sleep(0.1)
    PIDFILE.unlink(missing_ok=True)
    SOCKET.unlink(missing_ok=True)


def daemon_argv(dockerd: str, cache: Path, wrapper: Path | None) -> list[str]:
    """Command line of our own daemon; nothing of it is shared with a daemon of the system."""
    argv = [
        dockerd,
        f"--config-file={cache / 'daemon' / 'daemon.json'}",  # empty; the system's own is not for us
        f"--host=unix://{SOCKET}",
        f"--data-root={cache / 'docker'}",
        f"--exec-root={RUN / 'exec'}",
        f"--pidfile={PIDFILE}",
    ]
    if wrapper is not None:
        # A bounding set without CAP_SYS_RESOURCE also forbids the daemon's usual score of -500.
        argv += ["--oom-score-adjust=0", f"--add-runtime=bounded={wrapper}", "--default-runtime=bounded"]
    return argv


def _start(dockerd: str, cache: Path, log: Path) -> None:
    RUN.mkdir(mode=0o711, parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    pid = _own_pid()
    if pid is None:
        PIDFILE.unlink(missing_ok=True)  # dockerd refuses to start when any process has the number in it
        _end_orphaned_containerd()
        (cache / "daemon").mkdir(parents=True, exist_ok=True)
        (cache / "daemon" / "daemon.json").write_text("{}\n")
        wrapper = install_wrapper(cache / "daemon") if missing_on_this_machine() else None
        with log.open("a") as output:
            # A session of its own: Ctrl-C and the end of the terminal do not reach it.
            process = subprocess.Popen(
                daemon_argv(dockerd, cache, wrapper),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env=os.environ | {"PATH": debian.search_path()},
            )
    else:
        process = None  # started by a run that was killed while it waited
    deadline = time.monotonic() + START_SECONDS
    while not answers(own_host()):
        if process is not None and process.poll() is not None:
            raise SupplyError(f"dockerd ended with {process.returncode}. Last lines of {log}:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise SupplyError(
                f"dockerd is silent after {START_SECONDS} s. Last lines of {log}:\n{_tail(log)}"
            )
        time.sleep(0.1)


def _end_orphaned_containerd() -> None:
    """End the containerd of a dockerd that was killed: the next dockerd would wait for it in vain.

    Containers go on: they belong to their shims.
    """
    folder = RUN / "exec" / "containerd"
    pid = _process(folder / "containerd.pid", str(folder / "containerd.toml"))
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    (folder / "containerd.pid").unlink(missing_ok=True)


def _own_pid() -> int | None:
    """Process id of our own daemon while it lives."""
    return _process(PIDFILE, f"--pidfile={PIDFILE}")


def _process(pidfile: Path, word: str) -> int | None:
    """Process id in a pidfile, when that process has `word` on its command line; else the file is stale."""
    try:
        pid = int(pidfile.read_text())
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if word.encode() in argv else None


def _running_containers() -> int:
    import docker  # noqa: PLC0415  a tenth of a second, which commands do without
    from docker.errors import DockerException  # noqa: PLC0415

    client = docker.DockerClient(base_url=own_host(), timeout=10)
    try:
        return len(client.containers.list())
    except DockerException:
        return 0  # a daemon that does not answer can only be ended
    finally:
        client.close()


def _tail(log: Path, lines: int = 10) -> str:
    return "\n".join("    " + line for line in log.read_text(errors="replace").splitlines()[-lines:])
