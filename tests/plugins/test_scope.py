"""What the program declares is what the replacement plugins cover, read from the components' source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from airgap.plugins.command.plugin import COMMAND_FIELDS
from airgap.plugins.docker.image import ARGUMENTS as IMAGE_ARGUMENTS
from airgap.plugins.docker.image import BUILD_ARGUMENTS
from airgap.plugins.docker.plugin import KINDS as DOCKER_KINDS

REPOSITORY = Path(__file__).resolve().parents[2]


def declared() -> Iterator[tuple[str, list[str]]]:
    """Dotted name and argument names of every call of a Pulumi package in the program."""
    sources = [*(REPOSITORY / "components").rglob("*.py"), *(REPOSITORY / "stacks").rglob("*.py")]
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func).removesuffix(".get")
            if re.fullmatch(r"(docker|command)(\.\w+)+", name):
                yield name, [camel(word.arg) for word in node.keywords if word.arg not in (None, "opts")]


def camel(name: str | None) -> str:
    head, *rest = (name or "").split("_")
    return head + "".join(word.title() for word in rest)


def test_every_argument_the_program_gives_is_covered() -> None:
    covered: dict[str, tuple[str, ...]] = {
        "command.local.Command": tuple(COMMAND_FIELDS),
        "docker.Image": IMAGE_ARGUMENTS,
        "docker.DockerBuildArgs": BUILD_ARGUMENTS,
    }
    for kind in DOCKER_KINDS:
        name = kind.token.rpartition(":")[2]
        covered[f"docker.{name}"] = kind.arguments
        for member, names in kind.members.items():
            covered[f"docker.{name}{member[0].upper()}{member[1:].removesuffix('s')}Args"] = names
    # Lists whose name is not simply the plural of their element's.
    covered["docker.ContainerNetworksAdvancedArgs"] = DOCKER_KINDS[-1].members["networksAdvanced"]
    found = list(declared())
    assert "docker.Container" in [name for name, _ in found]
    for name, arguments in found:
        known = covered.get(name)
        if known is not None:
            assert not set(arguments) - set(known), (
                f"the replacement plugin does not cover this argument of {name}"
            )
        elif name.startswith("docker.") and name != "docker.Provider":
            raise AssertionError(f"the docker replacement plugin does not cover {name}")


def test_the_table_of_cases_names_tests_that_exist() -> None:
    folder = Path(__file__).parent
    table = (folder / "README.md").read_text()
    cases = [int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]
    assert cases == list(range(1, len(cases) + 1))
    assert cases, "the table was not found"
    there = {
        name for file in folder.glob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    named = set(re.findall(r"`(test_\w+)`", table))
    assert not named - there
    for line in table.splitlines():
        if line.startswith("| ") and line[2].isdigit():
            assert "`test_" in line or "| - " in line, f"no test and no reason: {line}"
