"""What a drill writes down, and how it is put back whatever happened."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.drill import act
from cli.drill.journal import Journal
from cli.drill.losses import Client, Denied, Filtered, Loss, Scaled, Stopped
from cli.errors import UserError

SCALED = Scaled(
    cluster="cluster-1", namespace="dapr-test", workload="deployment/nodeapp", pods="app=node", replicas=2
)
STOPPED = Stopped(cluster="cluster-1", containers=("k3d-cluster-1-server-0",))
FILTERED = Filtered(
    cluster="cluster-2",
    container="k3d-cluster-2-server-0",
    peer="cluster-1",
    host="172.28.0.1",
    ports=(81, 91),
)
DENIED = Denied(cluster="cluster-2", peer="cluster-1", host="east.example.org", ports=(80,))
ALL: tuple[Loss, ...] = (Client(cluster="cluster-2"), SCALED, STOPPED, FILTERED, DENIED)
RULE = "-d 172.28.0.1/32 -p tcp -m tcp --dport 81 -j DROP"


class FakeTools:
    """Notes what it is asked to do; `answers` by a word of it."""

    def __init__(self, **answers: str | Callable[[], str]) -> None:
        self.said: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.answers = answers

    def kubectl(self, cluster: str, *arguments: str, stdin: str | None = None, seconds: float = 0) -> str:
        if stdin:
            self.sent.append(json.loads(stdin))
        return self._do(f"{cluster}: {' '.join(arguments)}")

    def docker(self, *arguments: str, seconds: float = 0) -> str:
        return self._do(f"docker {' '.join(arguments)}")

    def _do(self, what: str) -> str:
        self.said.append(what)
        found = next((answer for word, answer in self.answers.items() if word in what.split()), "")
        return found if isinstance(found, str) else found()


def tools(**answers: str | Callable[[], str]) -> Any:
    return FakeTools(**answers)


def failing() -> str:
    raise UserError("the server does not answer")


def test_what_is_written_down_is_read_back_and_goes_one_by_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "dev")
    assert (journal.exists, journal.said(), journal.losses()) == (False, "", [])
    journal.add("cluster-1", ALL[:1])
    assert journal.said().startswith("client pods of a drill are left since ")
    journal.add("cluster-1", ALL[1:])
    assert journal.said().startswith("taken away by a drill since ")
    assert journal.said().endswith(": cluster-1")
    assert Journal(tmp_path / "dev").losses() == list(ALL), "by another process"
    for loss in ALL:
        assert journal.exists
        journal.remove(loss)
    assert not journal.exists


def test_it_is_on_the_disk_before_anything_is_taken_even_if_the_process_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from cli.drill.journal import Journal; "
        "from cli.drill.losses import Client; Journal(Path(sys.argv[1])).add('x', [Client(cluster='c')]); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert Journal(tmp_path).losses() == [Client(cluster="c")]


@pytest.mark.parametrize("text", ["", "{}", '{"changed": [{"kind": "moon"}], "lost": "", "since": 0}',
                                  '{"changed": [{"kind": "client"}], "lost": "", "since": 0}'])  # fmt: skip
def test_a_file_that_cannot_be_read_stops_everything_and_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "drill.json").write_text(text)
    with pytest.raises(UserError, match=r"drill\.json should say what a drill has taken away"):
        Journal(tmp_path).losses()


def test_the_last_that_was_taken_is_put_back_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add("x", [SCALED, STOPPED])
    fake = tools(ps="k3d-cluster-1-server-0", get='{"spec": {"replicas": 0}}')
    act.put_all_back(fake, journal)
    assert fake.said == [
        "docker ps --all --format {{.Names}}",
        "docker start k3d-cluster-1-server-0",
        "cluster-1: -n dapr-test get deployment/nodeapp --ignore-not-found -o json",
        "cluster-1: -n dapr-test scale deployment/nodeapp --replicas=2",
    ]
    assert not journal.exists


def test_what_cannot_be_put_back_stays_written_down_and_keeps_nothing_else_away(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add("x", [Client(cluster="cluster-2"), SCALED, DENIED])
    with pytest.raises(UserError) as error:
        act.put_all_back(tools(deployment=failing, get=failing), journal)
    assert "deployment/nodeapp of dapr-test in cluster-1" in str(error.value)
    assert "the server does not answer" in str(error.value)
    assert str(journal.file) in str(error.value)
    assert journal.losses() == [SCALED]


def test_client_pods_stay_while_the_way_back_is_watched(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add("x", [Client(cluster="cluster-2"), DENIED])
    act.put_all_back(tools(), journal, clients=False)
    assert journal.losses() == [Client(cluster="cluster-2")]
    fake = tools()
    act.put_all_back(fake, journal)
    assert fake.said == [
        "cluster-2: -n multicluster-system delete pod drill-client --ignore-not-found --now --wait=false"
    ]


def test_what_somebody_else_has_put_back_or_deleted_is_left_alone() -> None:
    for answer in ("", '{"spec": {"replicas": 5}}'):
        fake = tools(get=answer)
        act.put_back(fake, SCALED, wait=False)
        assert not any(" scale " in said for said in fake.said)
    fake = tools(ps="another")
    act.put_back(fake, STOPPED, wait=False)
    act.put_back(fake, FILTERED, wait=False)
    assert all(said.startswith("docker ps ") for said in fake.said), "a node that went took its rules along"


def test_a_started_cluster_is_waited_for_when_others_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(act.time, "sleep", lambda _: None)
    answers = iter([failing, lambda: "ok"])

    def first_not() -> str:
        return next(answers)()

    fake = tools(ps="k3d-cluster-1-server-0", get=first_not)
    act.put_back(fake, STOPPED, wait=True)
    assert fake.said[-2:] == ["cluster-1: get --raw /readyz"] * 2
    monkeypatch.setattr(act, "UP_SECONDS", -1.0)
    with pytest.raises(UserError, match="does not answer"):
        act.put_back(tools(get=failing), STOPPED, wait=True)


def test_a_link_is_cut_for_each_port_and_every_rule_is_removed_again() -> None:
    fake = tools()
    act.take(fake, FILTERED)
    begin = "docker exec k3d-cluster-2-server-0 iptables -w -t mangle"
    assert fake.said[0] == f"{begin} -I PREROUTING {RULE}"
    assert len(fake.said) == 2
    listed = f"-P PREROUTING ACCEPT\n-A PREROUTING {RULE}\n-A PREROUTING {RULE}\n-A PREROUTING -j OTHERS"
    fake = tools(ps="k3d-cluster-2-server-0", exec=listed)
    act.put_back(fake, FILTERED, wait=False)
    assert fake.said.count(f"{begin} -D PREROUTING {RULE}") == 2, "a crash may have had it twice"
    assert not any("dport 91" in said for said in fake.said[2:])


def test_what_dies_ends_at_once_and_what_may_be_others_ends_in_order() -> None:
    fake = tools()
    act.take(fake, SCALED)
    assert fake.said[0].endswith("scale deployment/nodeapp --replicas=0")
    assert "delete pod -l app=node --grace-period=1" in fake.said[1]
    fake = tools()
    act.take(fake, Scaled(cluster="a", namespace="b", workload="deployment/c", pods="", replicas=1))
    assert len(fake.said) == 1
    fake = tools()
    act.take(fake, STOPPED)
    assert fake.said == ["docker kill k3d-cluster-1-server-0"]


def test_a_network_policy_allows_all_but_the_other_gateway() -> None:
    fake = tools(exec="192.0.2.7 2001:db8::7\n")
    act.take(fake, DENIED)
    (policy,) = fake.sent
    first, second = policy["spec"]["egress"]
    assert [one["ipBlock"] for one in first["to"] if "ipBlock" in one] == [
        {"cidr": "0.0.0.0/0", "except": ["192.0.2.7/32"]},
        {"cidr": "::/0", "except": ["2001:db8::7/128"]},
    ]
    assert [one["ipBlock"]["cidr"] for one in second["to"]] == ["192.0.2.7/32", "2001:db8::7/128"]
    tcp = [(one["port"], one["endPort"]) for one in second["ports"] if one["protocol"] == "TCP"]
    assert tcp == [(1, 79), (81, 65535)]
    assert fake.said[-2].endswith("rollout restart deployment/gateway")
    assert fake.said[-1].endswith("rollout status deployment/gateway --timeout=180s")


def test_ports_at_the_edge_and_side_by_side_leave_no_empty_range() -> None:
    loss = Denied(cluster="a", peer="b", host="192.0.2.7", ports=(1, 2, 65535))
    ports = act.network_policy(loss, ["192.0.2.7"])["spec"]["egress"][1]["ports"]
    assert [(one["port"], one["endPort"]) for one in ports] == [(3, 65534), (1, 65535)]


def test_a_link_that_is_open_still_is_told_by_its_ports() -> None:
    assert act.still_open(tools(exec="81\n"), FILTERED) == [81]
    assert act.still_open(tools(exec=""), DENIED) == []
