"""A build context as data: which files are in it, and their digest."""

import hashlib
import os
import stat
from pathlib import Path

from docker.utils.build import exclude_paths

_SPECIAL_BITS = (("u", stat.S_ISUID), ("g", stat.S_ISGID), ("t", stat.S_ISVTX))


def _ignore_patterns(context: Path, dockerfile: Path) -> list[str]:
    """The patterns of <Dockerfile>.dockerignore or else of the context's .dockerignore."""
    for path in (dockerfile.with_name(dockerfile.name + ".dockerignore"), context / ".dockerignore"):
        if path.is_file():
            lines = (line.strip() for line in path.read_text().splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []


def context_files(context: Path, dockerfile: Path) -> list[str]:
    """Relative paths of the files in the context, in the order of a depth-first walk sorted by name."""
    chosen = exclude_paths(str(context), _ignore_patterns(context, dockerfile))
    files = [name for name in chosen if (context / name).is_symlink() or (context / name).is_file()]
    return sorted(files, key=lambda name: name.split("/"))


def context_digest(context: Path, dockerfile: Path) -> str:
    """SHA-256 over the Dockerfile and then every file: its relative path, mode and content hash."""
    total = hashlib.sha256()
    total.update(b"Dockerfile" + b"-" * 10 + hashlib.sha256(dockerfile.read_bytes()).digest() + b"\0")
    for name in context_files(context, dockerfile):
        path = context / name
        mode = path.lstat().st_mode
        content = _link_target(path).encode() if stat.S_ISLNK(mode) else path.read_bytes()
        total.update(name.encode() + _go_mode(mode).encode() + hashlib.sha256(content).digest() + b"\0")
    return total.hexdigest()


def _link_target(path: Path) -> str:
    """Where a symbolic link leads at last, relative when the path is."""
    target = os.path.realpath(path)
    return target if path.is_absolute() else os.path.relpath(target)


def _go_mode(mode: int) -> str:
    """The mode of a file or link as Go prints it: the digest must agree with the official plugin's."""
    flags = (("L", stat.S_ISLNK(mode)), *((letter, mode & bit) for letter, bit in _SPECIAL_BITS))
    letters = "".join(letter for letter, is_set in flags if is_set)
    return (letters or "-") + stat.filemode(mode & 0o777)[1:]
