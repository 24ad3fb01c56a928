"""When a certificate or token began and ends, and whether somebody should look after it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cli.doctor.check import Result

WARNS_AT = 1 / 3
"""What is left of its time when it should long have been renewed, which happens at half of it."""
MINUTE, HOUR, DAY = 60, 3600, 86_400
MOST = 2
"""Minutes up to so many hours, and hours up to so many days."""


@dataclass(frozen=True, kw_only=True)
class Lifetime:
    """From when to when something counts, in seconds since 1970."""

    since: float
    until: float

    def result(self, now: float) -> Result:
        """A failure when it has ended or not begun, a warning when a third of its time is left."""
        left = self.until - now
        if left <= 0 or now < self.since:
            return "fail"
        return "warn" if left < (self.until - self.since) * WARNS_AT else "ok"

    def seen(self, now: float) -> str:
        """When it began and ends, in words. Many begin before they are made, for clocks that differ."""
        if now < self.since:
            return f"begins in {span(self.since - now)}: a clock is wrong, where it was made or here"
        left = self.until - now
        end = f"ends in {span(left)}" if left > 0 else f"ended {span(-left)} ago"
        return f"began {span(now - self.since)} ago, {end}"


def span(seconds: float) -> str:
    """A time as people say it: 90 minutes, 23 hours, 3650 days."""
    for unit, word, most in ((MINUTE, "minute", MOST * HOUR), (HOUR, "hour", MOST * DAY)):
        if seconds < most:
            return _count(seconds / unit, word)
    return _count(seconds / DAY, "day")


def _count(number: float, word: str) -> str:
    whole = round(number)
    return f"{whole} {word}{'' if whole == 1 else 's'}"
