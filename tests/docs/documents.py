"""The documents as their readers use them: blocks of commands, other blocks, inline code, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r"^(?:<!-- run: (?P<runner>\w+) -->\n)?```(?P<language>[^\n`]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
GENERATED = re.compile(r"<!-- scripts/docs: .*?<!-- end -->", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block. `runner` is who runs it, by the comment above; empty without one."""

    path: Path
    line: int
    language: str
    runner: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Its lines without comments and blank ones."""
        lines = (re.sub(r"(^|\s+)#\s.*", "", line) for line in self.text.splitlines())
        return [line for line in lines if line.strip()]


def documents() -> list[Path]:
    """Every document for users and developers."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a document."""
    text = path.read_text()
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        runner, language = match["runner"] or "", match["language"]
        yield Block(path=path, line=line, language=language, runner=runner, text=match["text"])


def command_blocks(runner: str) -> list[Block]:
    """The blocks of commands that this runner runs."""
    found = (block for path in documents() for block in blocks(path))
    return [block for block in found if block.language == "sh" and block.runner == runner]


def prose(path: Path) -> str:
    """A document without its blocks."""
    return FENCE.sub("", path.read_text())


def inline_code(path: Path) -> list[str]:
    """What stands in single backticks."""
    return re.findall(r"`([^`\n]+)`", prose(path))
