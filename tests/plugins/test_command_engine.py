"""The command replacement plugin and the language host under the real engine."""

import platform
from pathlib import Path

import pytest

from plugins.engine import Engine

pytestmark = pytest.mark.e2e

PROGRAM = """
    import pulumi
    from pulumi_command import local

    command = local.Command(
        "plain",
        create="echo create $WORD; cat; echo err >&2",
        update="echo update $WORD after $PULUMI_COMMAND_STDERR",
        delete="echo deleted $WORD > deleted.txt",
        stdin="from stdin",
        environment={{"WORD": "{word}", "SECRET": pulumi.Output.secret("hidden-value")}},
    )
    local.Command("triggered", create="echo made >> log", delete="echo gone >> log", triggers={triggers})
    said = local.run_output(command="echo said; echo said >> said.md")
    files = local.Command("files", create="echo one > a.txt; echo two > b.md", asset_paths=["*.txt"])
    pulumi.export("stdout", command.stdout)
    pulumi.export("stderr", command.stderr)
    pulumi.export("said", said.stdout)
    pulumi.export("files", files.assets.apply(lambda assets: sorted(assets)))
"""


def test_commands_are_created_updated_replaced_and_deleted(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(tmp_path / "plain", PROGRAM.format(word="one", triggers='["a", 1]'))
    assert stack.changed()["files"] == ["create"]
    assert (stack.folder / "said.md").read_text() == "said\n", "a preview runs functions as well"
    first = stack.up()
    assert "warning" not in first.output, first.output
    one = {"stdout": "create one\nfrom stdin", "stderr": "err", "said": "said", "files": ["a.txt"]}
    assert stack.outputs() == one
    state = stack.state("plain")
    assert state["id"].startswith("plain")
    assert len(state["id"]) == len("plain") + 8
    assert "hidden-value" not in str(stack.resources()), "a secret lies in the state in clear"
    assert stack.changed() == {}

    stack.program(PROGRAM.format(word="two", triggers='["b", 1]'))
    steps = stack.steps()
    assert steps["plain"] == {"ops": ["update"], "diff": {"environment.WORD": "update"}}
    assert "replace" in steps["triggered"]["ops"]
    assert "triggers[0]" in steps["triggered"]["diff"]
    assert "files" not in steps, "nothing of it has changed"
    stack.up()
    assert stack.outputs()["stdout"] == "update two after err"
    assert (stack.folder / "log").read_text().split() == ["made", "made", "gone"], "the new one comes first"
    stack.destroy()
    assert (stack.folder / "deleted.txt").read_text() == "deleted two\n"


def test_failed_commands_show_their_output_and_leave_nothing(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(
        tmp_path / "failing",
        """
        import pulumi
        from pulumi_command import local

        local.Command("bad", create="echo before; echo why >&2; exit 3")
        soon = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="1s"))
        local.Command("slow", create="exec sleep 600", opts=soon)
        """,
    )
    failed = stack.up("--continue-on-error", check=False)
    assert failed.status != 0
    assert 'exit status 3: running "echo before; echo why >&2; exit 3":' in failed.output
    assert "why" in failed.output
    assert "signal: killed" in failed.output, "its own timeout ends a command"
    assert "Traceback" not in failed.output
    assert [one["type"] for one in stack.resources() if "command:" in one["type"]] == []


def test_a_program_error_is_shown_once_and_only_with_the_users_frames(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(
        tmp_path / "broken",
        """
        def deep():
            return {}["missing"]

        deep()
        """,
    )
    failed = stack.run("preview", check=False)
    assert failed.status != 0
    assert failed.output.count("KeyError: 'missing'") == 1
    assert "__main__.py" in failed.output
    assert "runpy" not in failed.output
    assert "child.py" not in failed.output
    stack.program(
        """
        import pulumi

        def later(value):
            raise ValueError("bad " + value)

        pulumi.export("a", pulumi.Output.from_input("value").apply(later))
        """
    )
    failed = stack.run("preview", check=False)
    assert "in later" in failed.output, failed.output
    assert failed.output.count("ValueError: bad value") == 1
    assert "run_pulumi_func" not in failed.output
    stack.program("def broken(:\n    pass\n")
    failed = stack.run("preview", check=False)
    assert failed.output.count("SyntaxError: invalid syntax") == 1
    assert "def broken(:" in failed.output
    assert "child.py" not in failed.output
    shown = stack.run("about").output
    assert platform.python_version() in shown
    assert "pulumi_kubernetes" in shown or "pulumi-kubernetes" in shown
