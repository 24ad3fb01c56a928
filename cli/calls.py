"""Calls as the article makes them: curl inside the client pod, through kubectl; and from the host."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from cli.errors import UserError

POD = ["-n", "curl", "deploy/curl", "-c", "curl"]
SIDECAR = "http://127.0.0.1:3500"
EXEC_TIMEOUT_SECONDS = 30.0
LOOP_SECONDS = 120  # bound of one loop in the pod, should nobody stop it


@dataclass(frozen=True)
class Answer:
    """The result of a call: curl's exit code (0 is a response) and the body."""

    code: int
    body: str

    @property
    def text(self) -> str:
        """For the table."""
        return self.body.strip() if self.code == 0 else f"curl exit {self.code}"


def http_get(url: str) -> Answer:
    """A call from the host. Any HTTP status is an answer; no connection is curl's exit 7."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - loopback URL of our own cluster
            return Answer(0, response.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(0, f"{error.code} {error.read().decode(errors='replace').strip()}")
    except OSError:
        return Answer(7, "")


class ClientPod:
    """The curl client of one cluster. Its kubeconfig lies in a private file until close()."""

    def __init__(self, env: Mapping[str, str], kubeconfig: str) -> None:
        self.env = dict(env)
        descriptor, name = tempfile.mkstemp(prefix="multicluster-dapr-", suffix=".kubeconfig")  # mode 0600
        self._file = Path(name)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(kubeconfig)

    def close(self) -> None:
        """Remove the kubeconfig."""
        self._file.unlink(missing_ok=True)

    def kubectl(self, *arguments: str) -> list[str]:
        """argv of kubectl on this cluster."""
        return ["kubectl", "--kubeconfig", str(self._file), *arguments]

    def curl(self, url: str, *, data: str | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One curl in the pod."""
        argv = ["curl", "-s", "--max-time", "10"]
        if data is not None:
            argv += ["--request", "POST", "--data", data, "--header", "Content-Type: application/json"]
        for name, value in (headers or {}).items():
            argv += ["--header", f"{name}: {value}"]
        return self.run(*argv, url)

    def invoke(self, app_id: str, path: str, *, data: str | None = None) -> Answer:
        """One call by app-id, as an app makes it: over its own sidecar."""
        return self.curl(f"{SIDECAR}/v1.0/invoke/{app_id}/method{path}", data=data)

    def run(self, *argv: str, pod: Sequence[str] = POD) -> Answer:
        """One command in a pod. Raises UserError when the pod cannot be reached."""
        done = subprocess.run(
            self.kubectl("exec", *pod, "--", *argv),
            env=self.env, capture_output=True, text=True, timeout=EXEC_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode and "command terminated with exit code" not in done.stderr:
            raise UserError(f"cannot run {argv[0]} in the client pod: {done.stderr.strip()}")
        return Answer(done.returncode, done.stdout)


class _Output:
    """A child process whose output lines are handed, with their time, to a callback in a thread."""

    def __init__(self, argv: list[str], env: Mapping[str, str], line: Callable[[float, str], None]) -> None:
        self._child = subprocess.Popen(
            argv, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )
        assert self._child.stdout is not None  # noqa: S101 - PIPE was asked for
        self._thread = threading.Thread(target=self._read, args=(self._child.stdout, line), daemon=True)
        self._thread.start()

    @staticmethod
    def _read(stream: IO[str], line: Callable[[float, str], None]) -> None:
        for text in stream:
            line(time.monotonic(), text)

    def stop(self) -> None:
        self._child.terminate()
        self._child.wait(timeout=10)
        self._thread.join(timeout=10)


class CallLoop:
    """Calls a URL in the pod many times a second while the block runs, and notes when calls behave as wanted.

    The kernel answers refused connections with rate-limited ICMP, about one a second after a burst: most
    calls of a fast loop are left to time out. Hence the short connect timeout (a call must not sit in a
    retransmission while traffic already flows), and the loop is killed at the end, for the calls after it
    would starve as well.
    """

    def __init__(self, pod: ClientPod, url: str, followed: Callable[[Answer], bool]) -> None:
        self._pod, self._url, self._followed = pod, url, followed
        self._hits: list[float] = []
        self._pid = ""
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        script = (
            f"echo pid $$; end=$(($(date +%s)+{LOOP_SECONDS})); "
            'while [ "$(date +%s)" -lt "$end" ]; do '
            'body=$(curl -s --connect-timeout 0.1 --max-time 2 "$0"); echo "$? $body"; sleep 0.02; done'
        )
        argv = self._pod.kubectl("exec", *POD, "--", "sh", "-c", script, self._url)
        self._output = _Output(argv, self._pod.env, self._line)
        return self

    def __exit__(self, *_: object) -> None:
        self._output.stop()
        if self._pid:  # an exec whose kubectl is gone goes on in the pod
            self._pod.run("sh", "-c", f"kill {self._pid}")

    def _line(self, at: float, text: str) -> None:
        code, _, body = text.partition(" ")
        if code == "pid" and body.strip().isdigit():
            self._pid = body.strip()
        if code.isdigit() and self._followed(Answer(int(code), body)):
            with self._news:
                self._hits.append(at)
                self._news.notify_all()

    def first(self, *, after: float, timeout: float) -> float | None:
        """Time of the first call that behaved as wanted once the object had changed; None when none did."""
        with self._news:
            self._news.wait_for(lambda: any(hit >= after for hit in self._hits), timeout)
            # The watch can hear of the change a moment after traffic already follows it.
            return next((hit for hit in self._hits if hit >= after - 1.0), None)


class PolicyWatch:
    """Notes when the policy object on the API server takes the wanted type."""

    def __init__(self, pod: ClientPod, namespace: str, name: str, lb_type: str) -> None:
        self._pod, self._namespace, self._name, self._lb_type = pod, namespace, name, lb_type
        self._at: float | None = None
        self._buffer = ""
        self._done = threading.Event()

    def __enter__(self) -> Self:
        argv = self._pod.kubectl(
            "get", "globaltrafficpolicies.flomesh.io", "-n", self._namespace, "--field-selector",
            f"metadata.name={self._name}", "--watch", "-o", 'jsonpath={.spec.lbType}{"\\n"}',
        )  # fmt: skip
        self._output = _Output(argv, self._pod.env, self._line)
        return self

    def __exit__(self, *_: object) -> None:
        self._output.stop()

    def _line(self, at: float, text: str) -> None:
        if text.strip() == self._lb_type and self._at is None:
            self._at = at
            self._done.set()

    def changed(self, *, timeout: float) -> float:
        """Monotonic time at which the object was seen changed. Raises UserError when it never was."""
        if not self._done.wait(timeout) or self._at is None:
            raise UserError(
                f"the policy {self._namespace}/{self._name} did not become {self._lb_type} "
                f"within {timeout:.0f} s."
            )
        return self._at
