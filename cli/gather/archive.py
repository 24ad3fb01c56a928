"""The archive: a .tar.gz of texts, each redacted on its way in, and a README that says what is missing."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cli.gather.redact import Redactor

README = """\
# What ./stack gather found in the environment {environment}

Made at {when}. Passwords, keys, tokens and kubeconfigs are replaced by [redacted].

doctor.json     what ./stack doctor says: begin here
status.json     what ./stack status says
settings/       the environment's file, and the one the engine reads
state.json      the engine's state without secrets
versions.txt    of ./stack, the tools and this machine
clusters/       of each cluster its objects, events, logs of pods, and each gateway's routes and metrics
docker/         containers, networks, and logs of both nodes and Redis
logs/           of tools, builds, the Docker daemon, and the engine with its plugins

## What could not be had
{missing}
"""


class Archive:
    """Open inside a `with`; it is there, whole, only when the block ends well."""

    def __init__(self, target: Path, environment: str, redact: Redactor) -> None:
        """Only the user may read it: what looks like no secret to us may be one to them."""
        self.target = target
        self.missing: list[str] = []
        self._environment = environment
        self._redact = redact
        self._fresh = target.with_name(f".{target.name}.new")
        self._folder = target.name.removesuffix(".tar.gz")
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> Self:
        descriptor = os.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w:gz")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._tar is None:
            return
        if error is None:
            missing = "\n".join(f"- {line}" for line in self.missing) or "Nothing: everything was there."
            when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
            self.text("README.md", README.format(environment=self._environment, when=when, missing=missing))
        self._tar.close()
        self._file.close()
        if kind is None:
            self._fresh.replace(self.target)
        else:
            self._fresh.unlink(missing_ok=True)

    def text(self, path: str, content: str) -> None:
        """Add a text; an empty one is left out."""
        if not content or self._tar is None:
            return
        data = self._redact(content).encode(errors="replace")
        entry = tarfile.TarInfo(f"{self._folder}/{path}")
        entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
        self._tar.addfile(entry, io.BytesIO(data))

    def json(self, path: str, content: Any) -> None:
        """Add a value as JSON."""
        self.text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def lacks(self, what: str, why: object) -> None:
        """Note in the README what could not be had."""
        self.missing.append(self._redact(f"{what}: {' '.join(str(why).split())[:300]}"))
