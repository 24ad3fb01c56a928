"""What the documents say can be done is done here, or by the test that the block names.

A block of commands is fenced as `sh`. A comment above it, which readers do not see, says who runs it:
`<!-- run: fast -->` this module, on any machine; `platform` tests/e2e/test_documented.py, on the running
environment; `package` tests/package, on API servers; `e2e` the tests of tests/e2e and CI, whose calls of
./stack must mean the same to its parser.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from docs.documents import ROOT, Block, blocks, command_blocks, documents, inline_code, prose

from cli.arguments import parser

RUNNERS = {"fast", "platform", "e2e", "package"}
ANYTHING = "a value that only the test knows"
COMMANDS = r"(\./stack|scripts/\w+|pulumi|kubectl|docker|k3d|helm|curl|gateway|python3?|git|eval|rm) "
FOLDERS = {path.name: ROOT for path in ROOT.iterdir() if path.is_dir()}
FOLDERS |= dict.fromkeys(("core", "edge", "kube"), ROOT / "proxy" / "gateway")  # as documents call them


def parsed(words: list[str]) -> dict[str, object]:
    """What ./stack makes of these words."""
    try:
        return vars(parser().parse_args(words))
    except SystemExit as ended:
        if not ended.code:
            return {}  # it was asked for help
        raise AssertionError(f"./stack does not understand: {shlex.join(words)}") from ended


def calls_in_tests() -> Iterator[dict[str, object]]:
    """Every call of ./stack in tests/e2e and in CI, as its parser understands it."""
    for path in (ROOT / "tests" / "e2e").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "stack":
                words = [_word(argument) for argument in node.args]
                assert words[0] != ANYTHING, (
                    f"{path.name}:{node.lineno}: name the command of ./stack here, so that documents can be"
                    f" compared with it"
                )
                yield parsed(words)
    for line in (ROOT / ".ci" / "run").read_text().splitlines():
        if found := re.search(r"\./stack (test|check)\b[\w ]*", line):
            yield parsed(shlex.split(found[0])[1:])


def _word(argument: ast.expr) -> str:
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    return "dev" if ast.unparse(argument) == "ENVIRONMENT" else ANYTHING


def same(documented: dict[str, object], tested: dict[str, object]) -> bool:
    return documented.keys() == tested.keys() and all(
        tested[name] in (value, ANYTHING) for name, value in documented.items()
    )


def test_every_block_of_commands_says_who_runs_it() -> None:
    for path in documents():
        for block in blocks(path):
            assert block.language, f"{block} says no language"
            if block.language == "sh":
                above = " or ".join(f"<!-- run: {runner} -->" for runner in sorted(RUNNERS))
                assert block.runner in RUNNERS, (
                    f"{block} needs a line above it that says who runs it: {above}"
                )


def test_no_command_stands_outside_a_block_of_commands() -> None:
    for path in documents():
        other = "\n".join(block.text for block in blocks(path) if block.language not in ("sh", "dockerfile"))
        strays = re.findall(rf"^(?:\s{{4,}}|\$ ){COMMANDS}.*$", prose(path), re.MULTILINE)
        strays += re.findall(rf"^(?:\$ )?{COMMANDS}.*$", other, re.MULTILINE)
        assert not strays, f"{path.relative_to(ROOT)}: commands that no test would run"


@pytest.mark.parametrize("block", command_blocks("fast"), ids=str)
def test_fast_commands_run(block: Block, tmp_path: Path) -> None:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    env = {
        **os.environ,
        # What a block removes or writes below ~ is not the user's; packages need not be installed again.
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": cache,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    script = "set -euo pipefail\n" + block.text
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{block} failed:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("block", command_blocks("e2e"), ids=str)
def test_commands_of_e2e_blocks_are_called_by_tests_on_real_parts(block: Block) -> None:
    calls = list(calls_in_tests())
    for line in block.commands:
        assert line.startswith("./stack "), (
            f"{block}: only ./stack commands can be matched with tests: {line}"
        )
        words = parsed(shlex.split(line)[1:])
        assert any(same(words, call) for call in calls), f"{block}: no test on real parts calls {line}"


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_commands_in_the_text_are_such_that_stack_understands_them(path: Path) -> None:
    for code in inline_code(path):
        if code.startswith("./stack "):
            parsed(shlex.split(code)[1:])
        if module := re.match(r"python -m ([\w.]+)", code):
            name = module[1].replace(".", "/")
            assert list(ROOT.glob(f"{name}.py")) or list(ROOT.glob(f"{name}/__main__.py")), (
                f"no module {code}"
            )


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_files_named_in_the_text_exist(path: Path) -> None:
    for code in inline_code(path):
        if re.fullmatch(r"[\w.*/-]+", code) and "/" in code and code.split("/")[0] in FOLDERS:
            assert list(FOLDERS[code.split("/")[0]].glob(code.rstrip("/"))), (
                f"{path.relative_to(ROOT)} names {code}, which is not there"
            )
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose(path)):
        assert (path.parent / target).exists(), (
            f"{path.relative_to(ROOT)} links to {target}, which is not there"
        )


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_yaml_in_the_documents_is_yaml(path: Path) -> None:
    for block in blocks(path):
        if block.language == "yaml":
            list(yaml.safe_load_all(block.text))


def test_messages_under_troubleshooting_are_such_that_the_code_says_them() -> None:
    files = [
        path for folder in ("cli", "airgap", "stacks", "components") for path in (ROOT / folder).rglob("*.*")
    ]
    said = "\n".join(path.read_text() for path in files if path.suffix in (".py", ".sh"))
    said = re.sub(r'"\s*\n\s*f?"', "", said)  # a text in several literals
    table = (ROOT / "README.md").read_text().partition("## Troubleshooting")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    messages = [code for row in rows for code in re.findall(r"`([^`]+)`", row)]
    assert len(messages) > 5
    unsaid = [text for text in messages for part in re.split(r" N\b", text) if part.strip("()") not in said]
    assert not unsaid, "README explains messages that nothing says"


def test_every_decision_is_listed_with_its_number() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(
        r"^- \[(\d+)\. [^]]+\]\(([\w-]+\.md)\)", (folder / "README.md").read_text(), re.MULTILINE
    )
    assert [name for _, name in listed] == sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert all(int(number) == int(name[:3]) for number, name in listed)
