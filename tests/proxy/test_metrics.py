"""What the counters of services and clusters say, and how many there can be."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gateway.core.snapshot import compile_snapshot
from gateway.edge.metrics import by_service, observe

HOST = "app.demo:3000"


async def counted(server: Any, name: str) -> dict[tuple[str, ...], float]:
    """Values of a metric by its labels' values, clusters by their short names; of the whole page, as
    Prometheus reads it."""
    page = (await server.metrics()).text
    return {
        tuple(
            value.removeprefix("default/default/default/") for value in sample.labels.values()
        ): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    }


async def test_a_retry_is_counted_where_the_attempt_failed_and_a_failover_where_it_was_served(
    net: Any, make: Any, ok: Any
) -> None:
    app = await net.app(lambda _head, _body: ok())
    local = make.service(), make.slice("127.0.0.1", port=net.dead_port())
    remote, _, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    _, port, server = await net.gateway(*local, make.imported(c1=remote), make.policy("FailOver", c1=1))
    assert (await net.ask(port, host=HOST))[0] == 200
    assert await counted(server, "gateway_retries_total") == {("demo/app", "here", "FailOver"): 1}
    assert await counted(server, "gateway_failovers_total") == {("demo/app", "c1", "FailOver"): 1}
    assert await counted(server, "gateway_ejections_total") == {("demo/app", "here"): 1}
    assert await counted(server, "gateway_endpoints_ejected") == {("demo/app", "here"): 1}
    assert (await net.ask(port, host=HOST))[0] == 200, "without an attempt at what is left out"
    assert await counted(server, "gateway_retries_total") == {("demo/app", "here", "FailOver"): 1}
    assert await counted(server, "gateway_failovers_total") == {("demo/app", "c1", "FailOver"): 2}


async def test_among_clusters_that_share_another_one_than_was_chosen_is_a_failover(
    net: Any, make: Any, ok: Any
) -> None:
    app = await net.app(lambda _head, _body: ok())
    remote, _, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    imported = make.imported(c1=net.dead_port(), c3=remote)
    _, port, server = await net.gateway(imported, make.policy("ActiveActive", c1=1, c3=1))
    for _ in range(2):
        assert (await net.ask(port, host=HOST))[0] == 200
    assert await counted(server, "gateway_failovers_total") == {("demo/app", "c3", "ActiveActive"): 1}


async def test_a_request_that_nobody_answers_is_no_failover(net: Any, make: Any) -> None:
    imported = make.imported(c1=net.dead_port(), c3=net.dead_port())
    _, port, server = await net.gateway(imported, make.policy("FailOver", c1=2, c3=1))
    assert (await net.ask(port, host=HOST))[0] == 502
    assert not await counted(server, "gateway_failovers_total")
    assert await counted(server, "gateway_retries_total") == {("demo/app", "c1", "FailOver"): 1}
    codes = await counted(server, "gateway_requests_total")
    assert codes == {("demo/app", "c3", "FailOver", "502"): 1}, "where it ended"
    assert len(await counted(server, "gateway_request_seconds_count")) == 1, "nothing ended at the other"


async def test_counts_of_what_is_gone_are_bounded_and_the_oldest_goes_first(net: Any, make: Any) -> None:
    _, _, server = await net.gateway()
    registry = server.registry
    registry.runtime.metrics.most_gone = 3
    for number in (0, 1, 2, 0, 3):  # the first is there again before the bound is reached
        name = f"app-{number}"
        server.swap(compile_snapshot(
            [make.imported(name, c1=9), make.policy("FailOver", name, c1=1)], make.key("here")
        ).snapshot)  # fmt: skip
        for route in registry.snapshot.host_routes():
            for cluster in registry.state(route).clusters:
                for health in cluster.endpoints:
                    health.failed(0.0, certain=True)
                if cluster.remote:
                    observe(cluster, 200, 0.01)
                    cluster.retries += 1
        server.swap(compile_snapshot([], make.key("here")).snapshot)
        await registry.forget()
    services = {"demo/app-0": 2, "demo/app-2": 1, "demo/app-3": 1}
    for name in ("gateway_requests_total", "gateway_retries_total", "gateway_ejections_total"):
        assert {labels[0]: value for labels, value in (await counted(server, name)).items()} == services, name


async def test_each_status_is_counted_in_whatever_order_they_come(net: Any, make: Any) -> None:
    _, _, server = await net.gateway(make.imported(c1=9), make.policy("FailOver", c1=1))
    (route,) = server.registry.snapshot.host_routes()
    (cluster,) = (one for one in server.registry.state(route).clusters if one.remote)
    for status in (200, 200, 502, 200, 404, 404, 502):
        observe(cluster, status, 0.01)
    assert cluster.by_status() == {200: 3, 502: 2, 404: 2}
    counts = {labels[3]: count for labels, count in (await counted(server, "gateway_requests_total")).items()}
    assert counts == {"200": 3, "404": 2, "502": 2}


def test_no_name_breaks_the_page() -> None:
    (series,) = by_service("gateway_ejections_total", {('a"b\\c\nd', "here"): 1})
    (family,) = text_string_to_metric_families(f"{series} 1\n")
    assert family.samples[0].labels["service"] == 'a"b\\c\nd'
