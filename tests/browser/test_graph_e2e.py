"""The file of ./stack graph in a real browser, opened from a folder: nobody serves it."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness.browser import Page, chromium, kept_picture, look_chosen_by_the_system, page
from platforms.frames import replaced
from platforms.moments import large, moment
from platforms.repository import repository, written
from platforms.world import SERVICE, World

from cli.dashboard.frame import Moment, frame
from cli.dashboard.words import Query
from cli.doctor.check import Check
from cli.doctor.paths import path_checks
from cli.doctor.platform import platform_checks
from cli.graph import command, inline
from cli.graph.picture import Picture, of_clusters

pytestmark = pytest.mark.e2e

NODEAPP = "/".join(SERVICE)
HOSTILE = '</script><img src=x onerror="window.hacked=1"><script>window.hacked=1</script><!--\u2028'
FAIL_OVER = {
    "cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp", "lbType": "FailOver",
    "targets": [{"cluster": "cluster-1", "weight": 3}, {"cluster": "cluster-3", "weight": 1}],
}  # fmt: skip
TEXT = "document.body.innerText"
DETAIL = "document.querySelector('#detail').innerText"
ROWS = "document.querySelectorAll('#services tbody tr').length"
TITLES = "[...document.querySelectorAll('#map :is(.link, .cell) title')].map((one) => one.textContent)"
LINK = re.compile(r"(\S+) → (\S+): (\d+) services?, up to ([\d.]+) %")
NOBODY = "http://127.0.0.1:9"
ADD = "const one = document.createElement('{}'); one.{} = '{}'; document.body.append(one);"
ATTEMPTS = {
    "require-trusted-types-for": "document.body.innerHTML = '<b>x</b>';",
    "connect-src": f"fetch('{NOBODY}/').catch(() => 0);",
    "img-src": ADD.format("img", "src", f"{NOBODY}/x.png"),
    "frame-src": ADD.format("iframe", "src", f"{NOBODY}/"),
    "style-src-elem": ADD.format("style", "textContent", "b {}"),
    "style-src-attr": "document.body.setAttribute('style', 'color: red');",
}
"""What may not be done, by the directive that forbids it."""
Show = Callable[..., Any]
Foretold = Callable[..., Picture]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
def show(browser: str, tmp_path: Path, request: pytest.FixtureRequest) -> Show:
    """Opens a picture; in the end nothing was complained of, and nothing asked for but the file itself."""

    @asynccontextmanager
    async def shown(picture: Picture, chosen: str = "") -> AsyncIterator[Page]:
        file = tmp_path / "topology.html"
        file.write_text(inline.page(command.files_of_the_page(), picture))
        async with page(browser) as found:
            await found.open(f"{file.as_uri()}#{chosen}")
            await found.until("document.querySelector('#connection.still')")
            yield found
            kept_picture(f"file-{request.node.name}", await found.picture())
            assert not found.errors
            own = ("about:blank", "data:", file.as_uri())
            assert all(url.startswith(own) for url in found.requested), found.requested

    return shown


@pytest.fixture
def foretold(tmp_path: Path) -> Foretold:
    """The picture of an environment of the repository with changes, by its settings."""

    def drawn(environment: str, **changes: Any) -> Picture:
        paths = repository(tmp_path)
        return command.foretold(environment, paths, written(paths, environment, **changes))

    return drawn


def taken(found: Moment, checks: list[Check] | None = None) -> Picture:
    """As --live takes it."""
    readings = [replace(one, due=math.inf) for one in found.readings]
    return of_clusters(replace(found, shows="moment", readings=readings), checks or [])


def of_world(world: World) -> Picture:
    platform = world.platform()
    return taken(moment(world), [*platform_checks(platform), *path_checks(platform, world.reached())])


async def links(shown: Page) -> dict[tuple[str, str], tuple[int, float]]:
    """Those that are drawn: services and percent by both clusters."""
    found = [LINK.match(title) for title in await shown.ask(TITLES)]
    return {(one[1], one[2]): (int(one[3]), float(one[4])) for one in found if one}


async def test_dev_is_shown_whole_by_its_settings(show: Show, foretold: Foretold) -> None:
    async with show(foretold("dev")) as shown:
        text = await shown.ask(TEXT)
        for word in ("control-plane", "cluster-1", "cluster-2", "cluster-3", NODEAPP, "127.0.0.1:81"):
            assert word in text
        for words in ("by the settings, ", "Who would serve whom", "No cluster was asked. Assumed: "):
            assert words in text
        assert await links(shown) == {
            ("control-plane", "cluster-1"): (1, 50),
            ("control-plane", "cluster-3"): (1, 50),
        }
        assert await shown.ask("document.querySelectorAll('.ring .node.planned').length") == 4
        assert await shown.ask("document.title.startsWith('dev: ')")


async def test_its_policies_and_what_becomes_of_them_are_looked_into_by_keys(
    show: Show, foretold: Foretold
) -> None:
    async with show(foretold("dev", policies=[FAIL_OVER])) as shown:
        assert "FailOver in 1" in await shown.ask(TEXT)
        assert (await links(shown))["cluster-2", "cluster-1"] == (1, 75)
        await shown.press("j")
        assert await shown.ask("document.activeElement.dataset.name") == NODEAPP
        await shown.press("Enter")
        await shown.until(f"{DETAIL}.includes('Who would serve whom')")
        said = " ".join((await shown.ask(DETAIL)).split())
        for words in ("without cluster-1 → cluster-3 100 %", "cluster-1 75 %", "FailOver to "):
            assert words in said
        assert "3000 at /nodeapp no conditions yet" in said
        assert "Doctor" not in said
        assert await shown.ask("document.querySelectorAll('#detail td button').length") == 0
        await shown.press("Escape")
        await shown.until("document.querySelector('#detail').hidden")
        await shown.ask("document.querySelectorAll('.ring .node')[1].focus()")
        await shown.press("Enter")
        await shown.until(
            f"{DETAIL}.includes('Redis at 172.28.0.1:6379') && {DETAIL}.includes('Not there yet')"
        )


async def test_sixteen_members_are_a_matrix(show: Show, foretold: Foretold) -> None:
    async with show(foretold("scale")) as shown:
        found = await links(shown)
        assert len(found) == 16
        assert {source for source, _ in found} == {"control-plane", "member-02"}
        assert await shown.ask("document.querySelectorAll('#clusters > li').length") == 17
        await shown.press("m")
        await shown.until("document.querySelectorAll('#map .ring .node').length === 17")


async def test_nothing_that_only_the_live_page_has_is_shown(show: Show) -> None:
    async with show(of_world(World()), "cluster=cluster-1") as shown:
        await shown.until(f"{DETAIL}.includes('gateway-1') && {DETAIL}.includes('Doctor, at ')")
        text = await shown.ask(TEXT)
        assert "as it was, " in text
        for word in ("/s", "p95", "Moving now", "Look again", "live", "silent"):
            assert word not in text
        assert await shown.ask(
            "[...document.querySelectorAll('.spark')].every((one) => !one.checkVisibility())"
        )


async def test_why_conditions_and_the_doctor_of_a_moment_are_in_the_file(show: Show) -> None:
    async with show(of_world(World()), f"service={NODEAPP}") as shown:
        await shown.until(f"{DETAIL}.includes('hops fine')")
        for word in ("its pods", "cluster-1 50 %", "Valid", "Programmed"):
            assert word in await shown.ask(DETAIL)
        await shown.ask("document.querySelector('[data-focus^=\"why cluster-2\"]').click()")
        await shown.until(f"{DETAIL}.includes('policy FailOver to cluster-1 100, cluster-3 100')")
        assert "source=cluster-2" in await shown.ask("location.hash")


async def test_a_cluster_that_was_lost_is_shown_so(show: Show) -> None:
    world = World()
    world["cluster-3"].error = "does not answer within 4 s"
    world["cluster-2"].ejected = {"172.28.0.1:83"}
    world["cluster-2"].follow()
    async with show(of_world(world)) as shown:
        card = "document.querySelector('#clusters [data-name=cluster-3].down').innerText"
        assert "does not answer within 4 s" in await shown.ask(card)
        assert await shown.ask("document.querySelectorAll('.link.bad').length") == 2
        assert "cluster-3: API server" in await shown.ask("document.querySelector('#problems').innerText")


async def test_filters_show_what_the_server_would_for_them(show: Show) -> None:
    shown_moment = large(8, 40)
    async with show(taken(shown_moment)) as shown:
        assert await shown.ask(ROWS) == 40
        for words, namespace in (
            ("", ""),
            ("service-1", ""),
            ("service-1", "ns-11"),
            ("", "ns-3"),
            ("none", ""),
        ):
            await shown.ask(
                f"for (const [id, type, value] of [['#text', 'input', '{words}'],"
                f" ['#namespace', 'change', '{namespace}']]) {{"
                f" const one = document.querySelector(id); one.value = value;"
                f" one.dispatchEvent(new Event(type)); }}"
            )
            wanted = frame(shown_moment, Query(text=words, namespace=namespace), 0.0)
            names = [one["name"] for one in wanted["clusters"]]
            assert await shown.ask(ROWS) == len(wanted["services"])
            assert await links(shown) == {
                (names[one["source"]], names[one["target"]]): (one["services"], round(one["percent"]))
                for one in wanted["links"]
            }
        await shown.press("Escape")
        assert await shown.ask(ROWS) == 40


async def test_the_keyboard_filters_and_a_column_sorts(show: Show) -> None:
    async with show(taken(large(8, 40))) as shown:
        await shown.press("/")
        await shown.write("service-11")
        await shown.until(f"{ROWS} === 1")
        assert "text=service-11" in await shown.ask("location.hash")
        await shown.press("Escape")
        await shown.until(f"{ROWS} === 40")
        await shown.ask("document.querySelector('[data-key=policies]').click()")
        assert await shown.ask("document.querySelector('th[aria-sort]').textContent") == "policies"
        await shown.press("?")
        await shown.until("document.querySelector('#help').open")


async def test_light_and_dark_follow_the_system_until_somebody_chooses(show: Show) -> None:
    async with show(of_world(World())) as shown:
        await look_chosen_by_the_system(shown)


async def test_what_is_left_out_is_told(show: Show) -> None:
    async with show(taken(large(64, 500)), "service=ns-1/service-1") as shown:
        assert await shown.ask(ROWS) == 500
        await shown.until(f"{DETAIL}.includes('500 services in 64 clusters: ./stack dashboard large')")


async def test_names_from_clusters_are_text_and_nothing_else(show: Show) -> None:
    world = World()
    world["cluster-1"].error = "refused"
    said = {"nodeapp": HOSTILE, "cluster-3": f"cluster-3{HOSTILE}", "Success": HOSTILE, "refused": HOSTILE}
    async with show(replaced(of_world(world), said)) as shown:
        assert HOSTILE[:20] in await shown.ask(TEXT)
        await shown.press("j")
        await shown.press("Enter")
        await shown.until(f"{DETAIL}.includes('<script>')")
        assert await shown.ask("document.querySelectorAll('img').length") == 0
        assert await shown.ask("document.scripts.length") == 2, "the page's own, and the data"
        assert await shown.ask("typeof window.hacked") == "undefined"


async def test_the_policy_keeps_out_what_is_not_in_the_file(show: Show) -> None:
    async with show(of_world(World())) as shown:
        await shown.ask(
            "window.refused = {}, addEventListener('securitypolicyviolation',"
            " (event) => { window.refused[event.effectiveDirective] = event.blockedURI; })"
        )
        for attempt in ATTEMPTS.values():
            await shown.ask(f"(() => {{ try {{ {attempt} }} catch (error) {{ return error.name }} }})()")
        await shown.until(f"Object.keys(window.refused).length === {len(ATTEMPTS)}")
        assert set(await shown.ask("window.refused")) == set(ATTEMPTS)
        assert await shown.ask("typeof window.hacked") == "undefined"
        shown.errors.clear()  # the browser complains of what this test tried
        shown.requested.clear()
