"""The file of the peers' keys: what is read from it, and what is said of one that holds none."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.core.identity import NO_KEYS
from gateway.peers_file import PeersFileError, read_keys, stamp

OLD, NEW = b"\x01" * 32, b"\x02" * 40


def test_keys_are_hex_or_base64_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{base64.b64encode(NEW).decode()}\n\n {OLD.hex().upper()}\n")
    assert read_keys(file).keys == (NEW, OLD)
    assert read_keys(None) is NO_KEYS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it has 0 keys"),
        (b"\n \n", "it has 0 keys"),
        (b"01" * 31, "line 1: it has 31 bytes"),
        (b"01" * 32 + b"\nsecret!\n", "line 2: it is neither hex nor base64"),
        (b"\xff" * 40, "it is not text"),
        ((b"01" * 32 + b"\n") * 9, "it has 9 keys, 1 to 8 work"),
        (None, "No such file"),
    ],
)
def test_a_file_that_holds_no_keys_is_named_with_the_reason_and_the_remedy(
    tmp_path: Path, content: bytes | None, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PeersFileError, match=re.escape(reason)) as caught:
        read_keys(file)
    for said in (str(caught.value), run_with(file, tmp_path, capsys)):
        assert str(file) in said
        assert "openssl rand -hex 32" in said
        assert "secret" not in said
        assert "0101" not in said


def run_with(file: Path, objects: Path, capsys: pytest.CaptureFixture[str]) -> str:
    folder = objects / "none"
    folder.mkdir()
    command = ["serve", "--objects", str(folder), "--cluster-key", "r/z/g/c", "--listen", "127.0.0.1:0"]
    assert main([*command, "--peers-key-file", str(file)]) == 1
    return capsys.readouterr().err


def test_an_exchanged_link_is_a_change(tmp_path: Path) -> None:
    """As kubelet writes a Secret: a folder beside the old one, and a link that is moved over to it."""
    for name, key in (("a", OLD), ("b", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys").write_text(key.hex())
    (tmp_path / "data").symlink_to("a")
    (tmp_path / "keys").symlink_to("data/keys")
    before = stamp(tmp_path / "keys")
    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").replace(tmp_path / "data")
    assert stamp(tmp_path / "keys") != before
    assert read_keys(tmp_path / "keys").keys == (NEW,)
    assert stamp(tmp_path / "gone") == stamp(None) == (0, 0, 0)
