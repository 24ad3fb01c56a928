"""The live page in a real browser, with frames of a world that tests change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import cache

import pytest
from harness.browser import GROUND, Page, chromium, kept_picture, look_chosen_by_the_system, page
from platforms.frames import FakeCollector
from platforms.moments import calls, large
from platforms.world import SERVICE, key

from cli.dashboard.frame import Moment
from cli.dashboard.server import Server
from cli.dashboard.words import Query

pytestmark = pytest.mark.e2e

NODEAPP = "/".join(SERVICE)
ROWS = "document.querySelectorAll('#services tbody tr').length"
LIVE = "document.querySelector('#connection.live') && document.querySelector('#services tbody tr')"
DETAIL = "document.querySelector('#detail').innerText"
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@cache
def many() -> Moment:
    return large(64, 500)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
def source() -> FakeCollector:
    found = FakeCollector()
    to = (NODEAPP, key("cluster-1"))
    found.moving = {"cluster-2": {to: calls(40)}, "cluster-1": {to: calls(50)}}
    return found


@pytest.fixture
async def server(source: FakeCollector) -> AsyncIterator[Server]:
    async with Server(source) as found:
        yield found


@pytest.fixture
async def shown(browser: str, server: Server, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """The page, loaded and live; in the end nothing was complained of, nor asked of anybody else."""
    async with page(browser) as found:
        await found.open(server.url)
        await found.until(LIVE, 20.0)
        yield found
        kept_picture(request.node.name, await found.picture())
        assert not found.errors
        assert all(url.startswith(server.url) or url == "about:blank" for url in found.requested)


async def test_it_shows_clusters_services_and_moving_traffic(shown: Page) -> None:
    text = await shown.ask("document.body.innerText")
    for word in ("dev", "control-plane", "cluster-2", NODEAPP, "FailOver in 1", "50/s served", "40/s sent"):
        assert word in text
    assert await shown.ask("document.querySelectorAll('.ring .node').length") == 4
    assert await shown.ask("document.querySelectorAll('.link.moving').length") == 1
    label = await shown.ask("document.querySelector('.link.moving text').textContent")
    assert label == "50 % · 40/s"


async def test_a_change_is_shown_within_a_second(shown: Page, source: FakeCollector) -> None:
    source.world["cluster-3"].error = "connection refused"
    source.touch()
    await shown.until("document.querySelector('#clusters [data-name=cluster-3].down')", 1.0)
    assert "connection refused" in await shown.ask("document.querySelector('#clusters .down').innerText")
    await shown.until("document.querySelector('#problems li')?.innerText.includes('cluster-3: API server')")
    source.world["cluster-3"].error = ""
    source.world.set_policy("Locality", [])
    source.touch()
    await shown.until(
        f"document.querySelector('[data-name=\"{NODEAPP}\"]').innerText.includes('Locality')", 1.0
    )


async def test_a_service_is_looked_into_by_keys_with_conditions_reasons_and_the_doctor(shown: Page) -> None:
    await shown.press("j")
    assert await shown.ask("document.activeElement.dataset.name") == NODEAPP
    await shown.press("Enter")
    await shown.until(f"{DETAIL}.includes('FailOver to')")
    await shown.until(f"{DETAIL}.includes('hops fine')")
    for word in ("its pods", "cluster-1 50 %", "Valid", "Programmed", "Doctor, at"):
        assert word in await shown.ask(DETAIL)
    await shown.ask("document.querySelector('[data-focus^=\"why cluster-2\"]').click()")
    await shown.until(f"{DETAIL}.includes('policy FailOver to cluster-1 100, cluster-3 100')")
    assert "source=cluster-2" in await shown.ask("location.hash")
    kept_picture("a_service", await shown.picture())
    await shown.press("Escape")
    await shown.until("document.querySelector('#detail').hidden")


async def test_a_cluster_is_looked_into_from_the_ring(shown: Page) -> None:
    await shown.ask("document.querySelectorAll('.ring .node')[1].focus()")
    await shown.press("Enter")
    await shown.until(f"{DETAIL}.includes('gateway-1') && {DETAIL}.includes('Membership')")


async def test_the_keys_are_listed_and_the_map_turned_by_a_key(shown: Page) -> None:
    await shown.press("?")
    await shown.until("document.querySelector('#help').open")
    await shown.press("Escape")
    await shown.until("!document.querySelector('#help').open")
    await shown.press("m")
    await shown.until("document.querySelector('#map svg.matrix .moving rect')")


async def test_light_and_dark_follow_the_system_until_somebody_chooses(shown: Page) -> None:
    light = await look_chosen_by_the_system(shown)
    await shown.prefer("light")
    assert await shown.ask(GROUND) == light
    await shown.ask("document.querySelector('#theme').click()")
    await shown.until(f"{GROUND} !== '{light}'")


async def test_names_from_clusters_are_text_and_nothing_else(shown: Page, source: FakeCollector) -> None:
    source.said = {"nodeapp": HOSTILE, "cluster-3": f"cluster-3{HOSTILE}", "Success": HOSTILE, "50": "50"}
    source.world["cluster-1"].error = f"refused {HOSTILE}"
    source.touch()
    await shown.until("document.body.innerText.includes('<img src=x onerror=')")
    await shown.press("j")
    await shown.press("Enter")
    await shown.until(f"{DETAIL}.includes('<script>')")
    assert await shown.ask("document.querySelectorAll('img, body script').length") == 0
    assert await shown.ask("typeof window.hacked") == "undefined"


async def test_the_policy_keeps_markup_from_being_made_of_text(shown: Page) -> None:
    await shown.ask(
        "(() => { try { document.body.innerHTML = '<b>x</b>' } catch (e) { window.caught = e.name } })()"
    )
    assert await shown.ask("window.caught") == "TypeError"
    shown.errors.clear()  # the browser complains of what this test tried


async def test_a_server_that_ends_is_told(shown: Page, server: Server) -> None:
    await server.__aexit__()
    await shown.until("document.querySelector('#connection.lost') !== null")
    shown.errors.clear()  # refused connections


class TestLarge:
    """64 clusters and 500 services."""

    @pytest.fixture
    def source(self) -> FakeCollector:
        return FakeCollector(many())

    async def test_all_are_shown_and_frames_go_on(self, shown: Page) -> None:
        await shown.until(f"{ROWS} === 500", 30.0)
        assert await shown.ask("document.querySelectorAll('#clusters > li').length") == 64
        assert await shown.ask("document.querySelectorAll('svg.matrix rect').length") > 1000
        await shown.ask("window.title = document.title, document.title = ''")
        await shown.until("document.title === window.title", 10.0)

    async def test_filters_by_name_and_namespace(self, shown: Page, source: FakeCollector) -> None:
        await shown.until(f"{ROWS} === 500", 30.0)
        await shown.press("/")
        await shown.write("service-11")
        await shown.until(f"{ROWS} === 11", 20.0)
        await shown.ask(
            "(() => { const select = document.querySelector('#namespace'); select.value = 'ns-11'; "
            "select.dispatchEvent(new Event('change')); })()"
        )
        await shown.until(f"{ROWS} === 2", 20.0)
        assert Query(text="service-11", namespace="ns-11") in source.asked
        await shown.press("Escape")
        await shown.until(f"{ROWS} === 500", 20.0)
