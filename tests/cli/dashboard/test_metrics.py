"""A gateway's metrics page as numbers, and rates of pages that were read one after the other."""

from __future__ import annotations

import pytest

from cli.dashboard.metrics import Calls, Counters, quantile, read
from cli.dashboard.rates import WINDOW_SECONDS, Track, increase
from gateway.core.balance import RouteState
from gateway.core.route import Endpoint, Route, WeightedCluster
from gateway.edge.metrics import Metrics, observe

FLOW = ("shop/cart", "r/z/g/east")


def page(*answers: tuple[int, float], gauges: dict[str, int] | None = None) -> str:
    """What a gateway says after these answers, each a code and its seconds, by the gateway's own code."""
    cluster = WeightedCluster(key=FLOW[1], weight=100, endpoints=(Endpoint("10.0.0.1", 80),), remote=True)
    route = Route(where="shop/cart:80", service=FLOW[0], port=80, policy="FailOver", priorities=((cluster,),))
    state = RouteState(route, lambda *_: None)  # type: ignore[arg-type,return-value]
    for code, seconds in answers:
        observe(state.clusters[0], code, seconds)
    metrics = Metrics()
    metrics.answered(503, "no-endpoints")
    return "".join(metrics.render([state], gauges or {}))


def test_requests_errors_and_latency_are_read_by_service_and_cluster() -> None:
    found = read(page((200, 0.004), (200, 0.004), (404, 0.004), (499, 0.004), (502, 0.2)))
    calls = found.flows[FLOW]
    assert (calls.requests, calls.errors) == (5, 1)
    assert (calls.bounds[-1], calls.within[-1]) == (float("inf"), 5)
    assert found.own == {"503 no-endpoints": 1}


def test_other_metrics_are_summed_up_over_their_labels() -> None:
    labels = 'service="a/b",cluster="c"'
    found = read(f"gateway_retries_total{{{labels}}} 3\ngateway_retries_total 4\ngateway_ready 1\n")
    assert found.totals == {"gateway_retries_total": 7, "gateway_ready": 1}


def test_what_is_no_metric_is_left_out() -> None:
    text = 'hello\n# TYPE x counter\nx{y="z" 1\nx notanumber\ngateway_requests_total{code="OK"} 3\n\nup 1\n'
    assert read(text) == Counters({}, {}, {"up": 1})


def test_a_quantile_lies_inside_its_bucket() -> None:
    calls = Calls(10, 0, (0.1, 0.2, float("inf")), (5, 10, 10))
    assert quantile(calls, 0.5) == pytest.approx(0.1)
    assert quantile(calls, 0.75) == pytest.approx(0.15)
    assert quantile(Calls(), 0.5) is None
    assert quantile(Calls(1, 0, (0.1, float("inf")), (0, 1)), 0.5) == 0.1


def followed(*texts: str, every: float = 1.0) -> Track:
    track = Track(0.0, read(texts[0]))
    for number, text in enumerate(texts[1:], 1):
        track = track.follow(number * every, read(text))
    return track


def test_a_rate_is_the_increase_over_the_seconds_between() -> None:
    rates = followed(page((200, 0.01)), page(*[(200, 0.01)] * 11)).rates(1.0)
    assert rates.flows[FLOW].requests == 10
    assert quantile(rates.flows[FLOW], 0.5) is not None


def test_nothing_is_known_before_the_second_page_nor_long_after_the_last() -> None:
    assert not followed(page((200, 0.01))).rates(0.0).flows
    track = followed(page(), page(*[(200, 0.01)] * 10))
    assert track.rates(1.0).flows
    assert not track.rates(1.0 + WINDOW_SECONDS).flows


def test_a_counter_that_falls_has_begun_again() -> None:
    rates = followed(page(*[(200, 0.01)] * 50), page(*[(200, 0.01)] * 3)).rates(1.0)
    assert rates.flows[FLOW].requests == 3
    totals = increase(
        Counters({}, {}, {"gateway_retries_total": 9}), Counters({}, {}, {"gateway_retries_total": 2})
    )
    assert totals.totals == {"gateway_retries_total": 2}


def test_a_flow_that_was_not_there_has_come_since() -> None:
    assert followed("", page((200, 0.01), (200, 0.01))).rates(1.0).flows[FLOW].requests == 2


def test_what_does_not_move_is_left_out() -> None:
    rates = followed(page((200, 0.01)), page((200, 0.01))).rates(1.0)
    assert not rates.flows
    assert not rates.own


def test_only_the_last_seconds_count() -> None:
    texts = [page(*[(200, 0.01)] * count) for count in (0, 100, 100, 100, 100, 110)]
    track = followed(*texts)
    assert track.rates(5.0).flows[FLOW].requests == pytest.approx(10 / 3)
    assert len(track.steps) <= WINDOW_SECONDS + 1


def test_errors_and_latencies_are_rates_too() -> None:
    rates = followed(
        page(), page((200, 0.01), (503, 0.9), gauges={"gateway_ejections_total": 2}), every=0.5
    ).rates(0.5)
    assert (rates.flows[FLOW].requests, rates.flows[FLOW].errors) == (4, 2)
    assert rates.totals["gateway_ejections_total"] == 4
