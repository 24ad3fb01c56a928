"""A build context as data: which files are in it, their digest, and the archive sent to the builder."""

import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

from docker.utils.build import exclude_paths

_TYPE_LETTERS = ((stat.S_ISDIR, "d"), (stat.S_ISLNK, "L"), (stat.S_ISFIFO, "p"), (stat.S_ISSOCK, "S"))


def ignore_patterns(context: Path, dockerfile: Path) -> list[str]:
    """The patterns of <Dockerfile>.dockerignore or else of the context's .dockerignore."""
    for path in (dockerfile.with_name(dockerfile.name + ".dockerignore"), context / ".dockerignore"):
        if path.is_file():
            lines = (line.strip() for line in path.read_text().splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []


def context_files(context: Path, dockerfile: Path) -> list[str]:
    """Relative paths of the files in the context, in the order of a depth-first walk sorted by name."""
    patterns = ignore_patterns(context, dockerfile)
    chosen = exclude_paths(str(context), patterns, dockerfile=None) if patterns else _all_files(context)
    files = [name for name in chosen if (context / name).is_symlink() or (context / name).is_file()]
    return sorted(files, key=lambda name: name.split("/"))


def _all_files(context: Path) -> set[str]:
    return {path.relative_to(context).as_posix() for path in context.rglob("*")}


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
    """Where a symbolic link leads, relative when both the path and its links are."""
    current = path
    for _ in range(40):
        if not current.is_symlink():
            return os.path.normpath(current)
        current = current.parent / current.readlink()
    raise OSError(f"could not evaluate symlink at {path}: too many links")


def _go_mode(mode: int) -> str:
    """A file mode as Go prints it: the digest must agree with the official plugin's."""
    letters = "".join(letter for test, letter in _TYPE_LETTERS if test(mode))
    letters += "u" if mode & stat.S_ISUID else ""
    letters += "g" if mode & stat.S_ISGID else ""
    letters += "t" if mode & stat.S_ISVTX else ""
    permissions = "".join(
        char if mode & (1 << (8 - index)) else "-" for index, char in enumerate("rwxrwxrwx")
    )
    return (letters or "-") + permissions


def context_archive(context: Path, dockerfile: Path) -> tuple[bytes, str]:
    """A tar of the context and the name the Dockerfile has in it."""
    buffer = io.BytesIO()
    try:
        name = dockerfile.resolve().relative_to(context.resolve()).as_posix()
    except ValueError:
        name = f".dockerfile.{hashlib.sha256(str(dockerfile).encode()).hexdigest()[:16]}"
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        names = set(context_files(context, dockerfile))
        for directory in sorted({parent.as_posix() for one in names for parent in Path(one).parents} - {"."}):
            archive.add(context / directory, arcname=directory, recursive=False, filter=_as_root)
        for one in sorted(names):
            archive.add(context / one, arcname=one, recursive=False, filter=_as_root)
        if name not in names:
            archive.add(dockerfile, arcname=name, recursive=False, filter=_as_root)
    return buffer.getvalue(), name


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
