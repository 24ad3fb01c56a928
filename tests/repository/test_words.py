"""Retired words stay out of code, messages and documents: each has a standard name in its place."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = {
    "", ".c", ".cfg", ".conf", ".css", ".go", ".html", ".in", ".js", ".md", ".py", ".pyi", ".sh",
    ".toml", ".yaml", ".yml",
}  # fmt: skip
SHOWN = {".ci", ".importlinter"}
"""Hidden names that are looked at."""
DOCUMENTS = "*.md"

# What to write instead, the pattern, and the files it is for. Ordinary English is left alone: `a line of
# a log`, `far larger`, `kinds of load`, `Troubleshooting`.
RETIRED = (
    ("replacement plugin, derived Service", r"(?i)stand[-_]?ins?(\b|_)", "*"),
    ("reconcile", r"(?i)upkeep", "*"),
    ("hint", r"(?i)way[ _-]?out\b", "*"),
    ("hint, what to do, repair", r"(?i)\bmend(s|ed|ing)?\b", "*"),
    ("error, problem", r"(?i)(\b|_)troubles?(\b|_)", "*"),
    ("package, folder", r"(?i)(\b|_)houses?(\b|_)|\bstreet\b|\brooms\b", "*"),
    ("result, check, evaluation", r"(?i)verdict|(\b|_)judg(e|es|ed|ing|e?ments?)(\b|_)", "*"),
    ("priority", r"(?i)(\b|_)tiers?(\b|_)", "*"),
    ("slow start", r"(?i)(\b|_)ramps?(\b|_)", "*"),
    ("ejection", r"(?i)(\b|_)spells?(\b|_)", "*"),
    ("path, client side, server side", r"(?i)(\b|_)legs?(\b|_)|\bfar_probe\b|import (near|far)\b", "*"),
    ("again, replaced, created", r"(?i)\banew\b", "*"),
    ("head cache", r"(?i)(\b|_)memos?(\b|_)", "*"),
    ("export", r"(?i)(\b|_)offers?(\b|_)", "*"),
    ("run, token", r"(?i)\b(this|that|an earlier|one|its) life\b", "*"),
    ("a standard noun", r"\bclass _?(Access|House|Known|Life|Line|Place|Room|Share|Slot|Street)s?\b", "*.py"),
    ("a type by a standard noun", r"(?m)^(Access|Known|Life|Line|Place|Room|Shares?|Slot)s? = ", "*.py"),
    ("client side, server side", r"\b(NEAR|FAR|near|far)_", "*.py"),
    ("CRDs", r"\bkinds\b(?! of\b)", DOCUMENTS),
    ("rules", r"\bverbs\b", DOCUMENTS),
    ("with public registries, in a closed network", r"(?i)\b(open|closed) machines?\b", "*"),
    ("a bound in numbers", r"(?i)more than nothing|less than endless", "*"),
)

FILE_NAMES = r"access|far|house|known|leg|life|line|memo|near|offer|place|room|share|slot|street|tier|verdict"

# Files that may say them, and why.
EXCEPTIONS = {
    "LICENSE": "not ours to word",
    "docs/decisions/*": "records of what was decided, in the words of their time",
    "tests/repository/test_words.py": "this list",
}


@cache
def texts() -> dict[str, str]:
    """Content by path of each file that people write."""
    found = {}
    for path in sorted(ROOT.rglob("*")):
        name = str(path.relative_to(ROOT))
        hidden = any(part.startswith(".") and part not in SHOWN for part in Path(name).parts)
        if hidden or path.suffix not in SUFFIXES or not path.is_file() or "__pycache__" in path.parts:
            continue
        if not any(fnmatch(name, pattern) for pattern in EXCEPTIONS):
            found[name] = path.read_text(errors="replace")
    return found


@pytest.mark.parametrize(("instead", "pattern", "where"), RETIRED, ids=[words for words, _, _ in RETIRED])
def test_a_retired_word_is_not_used(instead: str, pattern: str, where: str) -> None:
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name, text in texts().items()
        if fnmatch(name, where)
        for match in re.finditer(pattern, text)
    ]
    assert not found, f"say {instead} in place of these:\n" + "\n".join(found)


def test_no_file_has_a_retired_word_for_its_name() -> None:
    assert not [name for name in texts() if re.fullmatch(f"({FILE_NAMES})s?", Path(name).stem)]


def test_every_exception_is_needed() -> None:
    for pattern, reason in EXCEPTIONS.items():
        said = "\n".join(path.read_text() for path in ROOT.glob(pattern))
        words = [re.search(retired, said) for _, retired, _ in RETIRED]
        assert any(words), f"{pattern} needs no exception any more ({reason})"
