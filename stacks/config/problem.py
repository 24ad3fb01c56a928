"""Problems in settings, and the error that reports them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Problem:
    """One mistake: where, what value, why it cannot be, and a hint.

    `of_every` names a list, such as clusters, every entry of which has to be sound for this to be one.
    """

    path: str
    value: object
    reason: str
    hint: str
    of_every: str = ""

    def __str__(self) -> str:
        shown = "" if self.value is None else f" = {self.value!r}"
        return f"{self.path}{shown}: {self.reason}. {self.hint}"


def once(path: str, listed: Iterable[str], hint: str = "Keep one of them.") -> Iterator[Problem]:
    """A problem for each that a list has more than once."""
    values = list(listed)
    for value in dict.fromkeys(value for value in values if values.count(value) > 1):
        yield Problem(path, value, "listed more than once", hint)


class SettingsError(Exception):
    """All mistakes of an environment, in one message."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{count} {'problem' if count == 1 else 'problems'} in the settings:\n{lines}")


@dataclass
class Findings:
    """Gathers the mistakes that several steps find, to report them in one message."""

    problems: list[Problem] = field(default_factory=list)

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Keep the SettingsError of the step inside for later."""
        try:
            yield
        except SettingsError as error:
            self.problems += error.problems

    def refuse(self) -> None:
        """Raise SettingsError when any step found a mistake."""
        if self.problems:
            raise SettingsError(self.problems)
