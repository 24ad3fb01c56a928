"""The command stand-in under the real engine."""

import os
import platform
import signal
import subprocess
import time
from pathlib import Path

import pytest
from plugins.engine import Engine

pytestmark = pytest.mark.e2e

PLAIN = """
    import pulumi
    from pulumi_command import local

    command = local.Command(
        "plain",
        create="echo create $WORD; cat; echo err >&2",
        update="echo update $WORD after $PULUMI_COMMAND_STDERR",
        delete="echo deleted $WORD > deleted.txt",
        stdin="from stdin",
        environment={{"WORD": "{word}", "SECRET": pulumi.Output.secret("hidden-value")}},
        opts=pulumi.ResourceOptions(additional_secret_outputs=["stdout"]),
    )
    pulumi.export("stdout", command.stdout)
    pulumi.export("stderr", command.stderr)
"""


def test_a_command_is_created_updated_in_place_and_deleted(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(tmp_path / "plain", PLAIN.format(word="one"))
    first = stack.up()
    assert "warning" not in first.output, first.output
    assert stack.outputs() == {"stdout": "create one\nfrom stdin", "stderr": "err"}
    state = stack.state("plain")
    assert state["id"].startswith("plain")
    assert len(state["id"]) == len("plain") + 8
    assert "hidden-value" not in str(stack.resources(clear=False)), "a secret lies in the state in clear"
    assert stack.changed() == {}

    stack.program(PLAIN.format(word="two"))
    step = stack.steps()["plain"]
    assert step["ops"] == ["update"]
    assert step["diff"] == {"environment.WORD": "update"}
    stack.up()
    assert stack.outputs()["stdout"] == "update two after err"
    stack.destroy()
    assert (stack.folder / "deleted.txt").read_text() == "deleted two\n"


TRIGGERS = """
    import pulumi
    from pulumi_command import local

    local.Command("triggered", create="echo made >> log", delete="echo gone >> log", triggers={triggers})
"""


def test_a_changed_trigger_replaces_and_the_new_one_comes_first(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(tmp_path / "triggers", TRIGGERS.format(triggers='["a", 1]'))
    stack.up()
    stack.program(TRIGGERS.format(triggers='["b", 1]'))
    step = stack.steps()["triggered"]
    assert "replace" in step["ops"]
    assert "triggers[0]" in step["diff"]
    stack.up()
    assert (stack.folder / "log").read_text().split() == ["made", "made", "gone"]
    stack.program(TRIGGERS.format(triggers="None"))
    assert "replace" in stack.steps()["triggered"]["ops"]


def test_a_failed_create_shows_its_output_and_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(
        tmp_path / "failing",
        """
        from pulumi_command import local

        local.Command("bad", create="echo before; echo why >&2; exit 3")
        """,
    )
    failed = stack.up(check=False)
    assert failed.status != 0
    assert 'exit status 3: running "echo before; echo why >&2; exit 3":' in failed.output
    assert "why" in failed.output
    assert "Traceback" not in failed.output
    assert [one["type"] for one in stack.resources() if "command:" in one["type"]] == []


def test_custom_timeouts_kill_a_command(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(
        tmp_path / "slow",
        """
        import pulumi
        from pulumi_command import local

        timeouts = pulumi.CustomTimeouts(create="1s")
        local.Command("slow", create="exec sleep 60", opts=pulumi.ResourceOptions(custom_timeouts=timeouts))
        """,
    )
    began = time.monotonic()
    failed = stack.up(check=False)
    assert "signal: killed" in failed.output
    assert time.monotonic() - began < 30


def test_unknown_arguments_are_refused_by_name(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(
        tmp_path / "unknown",
        """
        import pulumi

        class Odd(pulumi.CustomResource):
            def __init__(self) -> None:
                options = pulumi.ResourceOptions(version="1.2.1")
                super().__init__("command:local:Command", "odd", {"create": "true", "shell": "zsh"}, options)

        Odd()
        """,
    )
    refused = stack.run("preview", check=False)
    assert refused.status != 0
    assert "shell" in refused.output


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


def test_an_interrupt_ends_a_command_without_a_traceback(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(
        tmp_path / "interrupted",
        """
        from pulumi_command import local

        local.Command("long", create="touch started; exec sleep 120")
        """,
    )
    process = subprocess.Popen(
        stack.command("up", "--yes", "--skip-preview"),
        cwd=stack.folder,
        env=stack.engine.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (stack.folder / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in output, output
    assert "KeyboardInterrupt" not in output, output
    assert "signal: killed" in output, output


def test_a_function_runs_at_once_and_files_are_kept_as_assets(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(
        tmp_path / "run",
        """
        import pulumi
        from pulumi_command import local

        said = local.run_output(command="echo said; echo said >> said.txt")
        made = local.Command("made", create="echo one > a.txt; echo two > b.md", asset_paths=["*.txt"])
        pulumi.export("said", said.stdout)
        pulumi.export("files", made.assets.apply(lambda assets: sorted(assets)))
        """,
    )
    assert stack.changed()["made"] == ["create"]
    assert (stack.folder / "said.txt").read_text() == "said\n", "a preview runs it as well"
    stack.up()
    assert stack.outputs() == {"said": "said", "files": ["a.txt", "said.txt"]}
    assert stack.changed() == {}
    stack.destroy()


def test_about_names_the_interpreter_and_its_packages(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(tmp_path / "about", "import pulumi\n")
    shown = stack.run("about").output
    assert platform.python_version() in shown
    assert "pulumi_kubernetes" in shown
