"""The effective configuration: the user's file plus what Pulumi and a command add, never written back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cli import settings
from cli.errors import UserError
from cli.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "Pulumi.dev.yaml").write_text("config:\n  multicluster-dapr:policies: []\n")
    return Paths(root=root, cache=tmp_path / "cache", state=tmp_path / "state")


def test_overrides_reach_the_copy_and_not_the_users_file(paths: Paths) -> None:
    before = (paths.root / "Pulumi.dev.yaml").read_text()
    target = settings.refresh(paths, "dev", {"policies": [{"name": "x"}]})
    assert yaml.safe_load(target.read_text())["config"]["multicluster-dapr:policies"] == [{"name": "x"}]
    assert (paths.root / "Pulumi.dev.yaml").read_text() == before


def test_the_salt_of_the_secrets_survives_a_refresh(paths: Paths) -> None:
    target = settings.refresh(paths, "dev")
    target.write_text(target.read_text() + "encryptionsalt: v1:abc\n")
    assert settings.read(settings.refresh(paths, "dev"))["encryptionsalt"] == "v1:abc"


def test_an_override_does_not_outlive_its_command(paths: Paths) -> None:
    settings.refresh(paths, "dev", {"policies": [{"name": "x"}]})
    assert settings.read(settings.refresh(paths, "dev"))["config"]["multicluster-dapr:policies"] == []


def test_an_unknown_environment_is_refused_with_the_known_ones(paths: Paths) -> None:
    with pytest.raises(UserError, match=r"unknown environment 'prod'.*Known: dev"):
        settings.source_file(paths, "prod")


@pytest.mark.parametrize("text", ["config: [", "- a list", "config: 3"])
def test_a_broken_file_is_refused_by_name(paths: Paths, text: str) -> None:
    (paths.root / "Pulumi.dev.yaml").write_text(text)
    with pytest.raises(UserError, match=r"Pulumi\.dev\.yaml"):
        settings.refresh(paths, "dev")


SALTED = "config:\n  multicluster-dapr:policies: []\nencryptionsalt: v1:salt\n"


def test_what_plain_pulumi_wrote_is_taken_back_with_the_environment(paths: Paths) -> None:
    source = paths.root / "Pulumi.dev.yaml"
    before = source.read_text()
    settings.refresh(paths, "dev").write_text(SALTED)
    source.write_text(SALTED)
    settings.take_back_salt(paths, "dev")
    assert source.read_text() == before


@pytest.mark.parametrize(
    "theirs",
    [SALTED.replace("v1:salt", "v1:other"), SALTED + "more:\n  secure: v1:xyz\n"],
    ids=["of another passphrase", "with a secret that needs it"],
)
def test_a_salt_that_is_the_users_stays(paths: Paths, theirs: str) -> None:
    settings.refresh(paths, "dev").write_text(SALTED)
    (paths.root / "Pulumi.dev.yaml").write_text(theirs)
    settings.take_back_salt(paths, "dev")
    assert (paths.root / "Pulumi.dev.yaml").read_text() == theirs


def test_a_salt_whose_passphrase_is_gone_is_refused_with_the_ways_out(paths: Paths, tmp_path: Path) -> None:
    (paths.root / "Pulumi.dev.yaml").write_text(SALTED)
    with pytest.raises(
        UserError, match=r"Pulumi\.dev\.yaml has an encryptionsalt.*Remove the line.*PASSPHRASE"
    ):
        settings.refuse_lost_salt(paths, "dev", tmp_path / "passphrase")


def set_in_the_copy(paths: Paths, **values: object) -> None:
    """As plain `pulumi config set` does; None removes."""
    target = settings.refresh(paths, "dev")
    document = settings.read(target)
    for key, value in values.items():
        document["config"][f"multicluster-dapr:{key}"] = value
        if value is None:
            del document["config"][f"multicluster-dapr:{key}"]
    target.write_text(yaml.safe_dump(document))


def config(paths: Paths) -> dict[str, object]:
    read = settings.read(settings.refresh(paths, "dev"))["config"]
    return {key.removeprefix("multicluster-dapr:"): value for key, value in read.items()}


def write(paths: Paths, text: str) -> None:
    (paths.root / "Pulumi.dev.yaml").write_text(f"# by its owner\nconfig: {{{text}}}\n")


def test_what_plain_pulumi_sets_is_kept_and_the_users_file_is_not_touched(paths: Paths) -> None:
    before = (paths.root / "Pulumi.dev.yaml").read_text()
    set_in_the_copy(paths, redisPassword={"secure": "v1:x"})
    for _ in range(3):
        assert config(paths) == {"policies": [], "redisPassword": {"secure": "v1:x"}}
    assert settings.merged(paths, "dev")["config"]["multicluster-dapr:redisPassword"] == {"secure": "v1:x"}
    assert (paths.root / "Pulumi.dev.yaml").read_text() == before


def test_a_key_of_the_users_that_plain_pulumi_removed_stays_removed(paths: Paths) -> None:
    set_in_the_copy(paths, policies=None)
    assert config(paths) == config(paths) == {}


def test_what_plain_pulumi_set_and_took_back_is_gone(paths: Paths) -> None:
    set_in_the_copy(paths, mirror="m")
    set_in_the_copy(paths, mirror=None)
    assert config(paths) == config(paths) == {"policies": []}


def test_the_users_file_wins_once_it_says_something_new_of_the_key(paths: Paths) -> None:
    write(paths, "multicluster-dapr:mirror: one")
    set_in_the_copy(paths, mirror="two")
    assert config(paths) == {"mirror": "two"}
    write(paths, "multicluster-dapr:mirror: three")
    assert config(paths) == {"mirror": "three"}
    write(paths, "multicluster-dapr:mirror: one")
    assert config(paths) == {"mirror": "one"}, "a change that was overtaken does not come back"


def test_an_edited_file_is_taken_in_beside_what_plain_pulumi_set(paths: Paths) -> None:
    set_in_the_copy(paths, redisPassword={"secure": "v1:x"})
    write(paths, "multicluster-dapr:mirror: new")
    assert config(paths) == {"mirror": "new", "redisPassword": {"secure": "v1:x"}}


def test_an_override_is_no_change_even_when_its_command_is_killed_while_it_writes(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    replace = settings._replace

    def killed(target: Path, text: str) -> None:
        if target.name == "Pulumi.dev.yaml" and written:
            raise KeyboardInterrupt
        written.append(target)
        replace(target, text)

    settings.refresh(paths, "dev", {"policies": [{"name": "x"}]})
    monkeypatch.setattr(settings, "_replace", killed)
    with pytest.raises(KeyboardInterrupt):
        settings.refresh(paths, "dev", {"policies": [{"name": "y"}]})
    monkeypatch.undo()
    assert config(paths) == {"policies": []}
