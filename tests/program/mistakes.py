"""How the tests of settings make one mistake, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stacks.config import loading
from stacks.config.problem import SettingsError

Config = dict[str, Any]
Change = Callable[[Config], None]
Mistake = tuple[str, Change, str]
"""A name, what makes it, and the message."""


def problems(config: Config) -> list[str]:
    try:
        loading.parse(config)
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    return []


def policy(**changes: Any) -> Config:
    base = {"cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp", "lbType": "ActiveActive"}
    return {**base, **changes}


def policies(*policies: Config) -> Change:
    return lambda config: config.update(policies=list(policies))


def cluster(index: int, **changes: Any) -> Change:
    return lambda config: config["clusters"][index].update(changes)


def two_existing(**second: Any) -> Change:
    """Clusters 1 and 2 exist, alike but for their names and what `second` changes."""
    access = {"source": "existing", "kubeconfig": "/k", "context": "one"}
    alike = {**access, "gatewayHost": "192.0.2.1", "gatewayPort": 30080}

    def change(config: Config) -> None:
        config["clusters"][1] = {"name": "cluster-1", **alike}
        config["clusters"][2] = {"name": "cluster-2", **alike, **second}

    return change


def keys(**keys: Any) -> Change:
    return lambda config: config.update(keys)
