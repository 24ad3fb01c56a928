"""The archive: whole or not there, private, redacted, and honest about what is missing."""

from __future__ import annotations

import stat
import tarfile
from pathlib import Path

import pytest

from cli.gather.archive import Archive
from cli.gather.machine import whole_lines, worth_reading
from cli.gather.redact import Redactor

SECRET = "correct-horse-battery"


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as tar:
        return {
            entry.name.partition("/")[2]: file.read().decode()
            for entry in tar
            if (file := tar.extractfile(entry)) is not None
        }


def test_what_goes_in_is_redacted_and_what_is_missing_is_listed(tmp_path: Path) -> None:
    target = tmp_path / "report.tar.gz"
    with Archive(target, "dev", Redactor([SECRET])) as archive:
        archive.text("logs/a.log", f"login with {SECRET}\n")
        archive.json("doctor.json", {"healthy": True, "seen": SECRET})
        archive.lacks("cluster cluster-1", f"refused {SECRET}\nconnection refused")
    found = contents(target)
    assert set(found) == {"logs/a.log", "doctor.json", "README.md"}
    assert not [name for name, text in found.items() if SECRET in text]
    assert "- cluster cluster-1: refused [redacted] connection refused" in found["README.md"]


def test_an_archive_with_everything_says_so(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.tar.gz", "dev", Redactor([])) as archive:
        archive.text("versions.txt", "pulumi 3")
    assert "Nothing: everything was there." in contents(tmp_path / "a.tar.gz")["README.md"]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.tar.gz", "dev", Redactor([])) as archive:
        archive.text("versions.txt", "pulumi 3")
    assert stat.S_IMODE((tmp_path / "a.tar.gz").stat().st_mode) == 0o600


def test_an_archive_that_broke_off_leaves_nothing_behind(tmp_path: Path) -> None:
    def break_off() -> None:
        with Archive(tmp_path / "a.tar.gz", "dev", Redactor([])) as archive:
            archive.text("versions.txt", "pulumi 3")
            raise RuntimeError("the machine went away")

    with pytest.raises(RuntimeError):
        break_off()
    assert not list(tmp_path.iterdir())


def test_a_log_that_was_cut_begins_with_a_whole_line() -> None:
    assert whole_lines("half-a-sec\nsecond\n", cut=True) == "second\n"
    assert whole_lines("first\nsecond\n", cut=False) == "first\nsecond\n"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ('{"level":"INFO","msg":"Marshaling property value=c2VjcmV0","v":9}', False),
        ('{"level":"INFO","msg":"resource registration successful","v":3}', True),
        ('{"level":"ERROR","msg":"the plugin ended","v":9}', True),
        ("Traceback (most recent call last):", True),
    ],
)
def test_of_the_engines_log_the_protocol_is_left_out(line: str, kept: bool) -> None:
    assert worth_reading(line) is kept
