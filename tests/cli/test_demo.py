"""What the demo accepts: which answers count as the article's."""

from __future__ import annotations

from cli import demo
from cli.calls import Answer

PORTS = '{"DAPR_HTTP_PORT":"3500","DAPR_GRPC_PORT":"50001"}, from cluster: '


def test_an_answer_in_the_articles_words_passes() -> None:
    row = demo.ports_row("x", Answer(0, PORTS + "cluster-1\n"), ["cluster-1"])
    assert row.passed
    assert row.seen.endswith("cluster-1")


def test_an_answer_from_another_cluster_fails() -> None:
    assert not demo.ports_row("x", Answer(0, PORTS + "cluster-3"), ["cluster-1"]).passed


def test_other_words_from_the_right_cluster_fail() -> None:
    assert not demo.ports_row("x", Answer(0, "hello, from cluster: cluster-1"), ["cluster-1"]).passed


def test_refused_means_curls_exit_seven_and_nothing_else() -> None:
    assert demo.refused_row("x", Answer(7, "")).passed
    for code in (0, 6, 28):
        row = demo.refused_row("x", Answer(code, ""))
        assert not row.passed, f"exit {code} is not a refusal"


def test_shares_pass_when_every_call_is_answered_within_the_tolerance() -> None:
    answers = [Answer(0, PORTS + name) for name in ["cluster-1"] * 22 + ["cluster-3"] * 18]
    assert demo.shares_row("x", answers, {"cluster-1": 100, "cluster-3": 100}).passed


def test_shares_fail_when_one_cluster_takes_too_much() -> None:
    answers = [Answer(0, PORTS + name) for name in ["cluster-1"] * 32 + ["cluster-3"] * 8]
    assert not demo.shares_row("x", answers, {"cluster-1": 100, "cluster-3": 100}).passed


def test_one_failed_call_fails_the_shares() -> None:
    answers = [Answer(0, PORTS + name) for name in ["cluster-1"] * 20 + ["cluster-3"] * 19]
    row = demo.shares_row("x", [*answers, Answer(7, "")], {"cluster-1": 100, "cluster-3": 100})
    assert not row.passed
    assert "failed (7) 1" in row.seen


def test_an_order_must_be_read_through_both_clusters() -> None:
    created = Answer(0, "created order via cluster: cluster-1")
    both = [Answer(0, f'{{"orderId":"42"}}, from cluster: {name}') for name in demo.EXPORTERS]
    assert all(row.passed for row in demo.order_rows(created, both))
    assert not demo.order_rows(created, both[:1])[1].passed
    wrong = [both[0], Answer(0, '{"orderId":"41"}, from cluster: cluster-3')]
    assert not demo.order_rows(created, wrong)[1].passed


def test_a_call_by_app_id_that_nobody_serves_is_an_error_of_dapr_or_of_the_gateway() -> None:
    said = "nodeapp.dapr-test:3000 has no ready endpoint that its policy (Locality) allows"
    for body in ('{"errorCode":"ERR_DIRECT_INVOKE"}', said):
        assert demo.nobody_row("x", Answer(0, body)).passed
    for answer in (Answer(0, PORTS + "cluster-1"), Answer(7, "")):
        assert not demo.nobody_row("x", answer).passed


def test_calls_while_an_app_is_killed_must_all_be_answered() -> None:
    answers = [Answer(0, PORTS + name) for name in demo.EXPORTERS]
    assert demo.answered_row("x", answers).passed
    assert not demo.answered_row("x", [*answers, Answer(7, "refused")]).passed
    assert not demo.answered_row("x", []).passed


def test_policies_name_both_exporters_with_equal_weights() -> None:
    """For callers of a cluster where nobody is local, and of one that exports."""
    entries = demo.policy("ActiveActive")
    assert [entry["cluster"] for entry in entries] == ["cluster-2", "cluster-1"]
    for entry in entries:
        targets = [(target["cluster"], target["weight"]) for target in entry["targets"]]
        assert targets == [("cluster-1", 100), ("cluster-3", 100)]
    assert all("targets" not in entry for entry in demo.policy("Locality")), "Locality stays at home"
