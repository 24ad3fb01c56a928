"""Who would serve whom: what is assumed, what is wrong with it, and the whole as a user sees it."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from config.environments import changed, read_environment
from platforms.repository import repository
from rich.console import Console

from airgap.report import Report
from cli.arguments import parser
from cli.engine import Engine
from cli.errors import UserError
from cli.observe.present import engine_of
from cli.paths import PROJECT, Paths
from cli.preview import command, objects, render
from stacks.config.loading import parse
from stacks.config.model import Settings
from stacks.outlook import assumed, handed, outlook, what_if
from stacks.outlook.outlook import Outlook, Row, Served
from stacks.program import foretold

KEY = "default/default/default/"
NAMES = {f"{KEY}{name}": name for name in ("control-plane", "cluster-1", "cluster-2", "cluster-3")}
PROVIDER = "urn:pulumi:dev::multicluster-dapr::pulumi:providers:kubernetes::cluster-1-kubernetes::1-2-3"
CANARY = {"headers": [{"name": "x-canary", "value": "true"}]}
FAIL_OVER = {
    "cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp", "lbType": "FailOver",
    "targets": [{"cluster": "cluster-1", "weight": 3}, {"cluster": "cluster-3", "weight": 1}],
}  # fmt: skip


def settings(**changes: Any) -> Settings:
    return parse(changed(read_environment("dev"), changes))


def served(refused: float = 0.0, **percents: float) -> Served:
    parts = ((f"{KEY}{name.replace('_', '-')}", "", percent) for name, percent in percents.items())
    return Served(parts=tuple(parts), refused=refused)


def row(client: str, found: Served, *callers: str, policy: str = "FailOver", **more: Any) -> Row:
    made: dict[str, Any] = {
        "client": f"{KEY}{client}", "callers": callers or ("nodeapp.dapr-test",),
        "where": "nodeapp.dapr-test:3000", "service": "dapr-test/nodeapp", "port": 3000, "policy": policy,
        "leaves": policy != "Locality", "direct": "", "served": found, "matches": (),
    }  # fmt: skip
    return Row(**(made | more))


def told(*rows: Row, **lost: tuple[Row, ...]) -> Outlook:
    by_key = {f"{KEY}{name.replace('_', '-')}": found for name, found in lost.items()}
    return Outlook(rows=rows, lost=by_key, problems=())


def texts(found: Outlook, chosen: Settings) -> list[str]:
    return [one.text for one in outlook.findings(found, chosen)]


def export(name: str, port: int = 80, **annotations: str) -> dict[str, Any]:
    return {
        "kind": "ServiceExport",
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": {"rules": [{"portNumber": port, "path": "/shop", "pathType": "Prefix"}]},
    }


def slices(found: list[Any]) -> dict[str, Any]:
    return {one["metadata"]["name"]: one for one in found if one["kind"] == "EndpointSlice"}


def test_what_others_export_is_assumed_to_have_pods_and_is_named() -> None:
    refs = {assumed.BACKEND_REFS: json.dumps([{"name": "shop"}, {"name": "shop-canary"}])}
    found = assumed.with_pods({"cluster-1": [export("shop", 8080, **refs)], "cluster-2": []}, settings())
    assert found.others == (
        ("cluster-1", ("shop", "shop")),
        ("cluster-1", ("shop", "shop-canary")),
    )
    listed = slices(found.objects["cluster-1"])
    assert set(listed) == {"shop", "shop-canary"}
    assert listed["shop"]["ports"] == [{"name": "http-8080", "port": 8080, "protocol": "TCP"}]
    assert found.objects["cluster-2"] == []


def test_an_app_has_pods_where_the_settings_deploy_it_and_nowhere_else() -> None:
    chosen = settings(**{"apps[0].overrides": {"cluster-3": {"replicas": 0}}})
    service = {
        "kind": "Service",
        "metadata": {"name": "nodeapp", "namespace": "dapr-test"},
        "spec": {"ports": [{"port": 3000, "targetPort": 3000}]},
    }
    exported = {**export("nodeapp", 3000), "metadata": {"name": "nodeapp", "namespace": "dapr-test"}}
    found = assumed.with_pods(
        {"cluster-1": [service, exported], "cluster-2": [exported], "cluster-3": [service, exported]}, chosen
    )
    assert {name: set(slices(listed)) for name, listed in found.objects.items()} == {
        "cluster-1": {"nodeapp"}, "cluster-2": set(), "cluster-3": set(),
    }  # fmt: skip
    assert found.others == ()


def test_the_state_says_what_the_last_up_made() -> None:
    inputs = {"kind": "ServiceExport", "metadata": {"name": "nodeapp", "namespace": "dapr-test"}}
    found = objects.of_state(
        [
            {"type": "kubernetes:flomesh.io/v1alpha1:ServiceExport", "provider": PROVIDER, "inputs": inputs},
            {"type": "kubernetes:apps/v1:Deployment", "provider": PROVIDER, "inputs": {"kind": "Deployment"}},
            {"type": "docker:index/network:Network", "inputs": {"kind": "Service"}},
            {
                "type": "kubernetes:core/v1:Service",
                "provider": PROVIDER.replace("r-1", "r-9"),
                "inputs": inputs,
            },
            {"type": "pulumi:pulumi:Stack"},
        ],
        settings(),
    )
    assert found == {"control-plane": [], "cluster-1": [inputs], "cluster-2": [], "cluster-3": []}


def test_a_service_that_keeps_its_calls_at_home_lacks_none() -> None:
    found = told(row("cluster-2", served(100), policy="Locality"))
    assert texts(found, settings()) == []


def test_callers_who_are_let_out_and_reach_nobody_are_found() -> None:
    found = told(
        row("cluster-1", served(100)),
        row("cluster-2", served(cluster_1=100)),
        row("control-plane", served(cluster_1=100), "outside"),
        cluster_1=(row("cluster-2", served(100)), row("control-plane", served(100), "outside")),
    )
    assert texts(found, settings()) == [
        "with every cluster there, nobody serves 100 % of the calls of cluster-1 to dapr-test/nodeapp:3000",
        "without cluster-1, nobody serves 100 % of the calls of cluster-2 to dapr-test/nodeapp:3000",
        "without cluster-1, nobody serves 100 % of the calls from outside to dapr-test/nodeapp:3000",
    ]
    assert texts(found, settings(preview={"withoutHome": "ignore"})) == []


def test_a_cluster_that_gets_more_than_its_capacity_is_found() -> None:
    both = served(cluster_1=50, cluster_3=50)
    found = told(
        row("cluster-1", served(cluster_1=100)),
        row("cluster-2", both),
        row("cluster-2", served(cluster_3=100), "nodeapp.dapr-test.svc.clusterset.local"),
        row("cluster-3", served(cluster_3=100)),
        row("control-plane", both, "outside"),
        cluster_1=(
            row("cluster-2", served(cluster_3=100)), row("control-plane", served(cluster_3=100), "outside")
        ),
    )  # fmt: skip
    chosen = settings(**{"clusters[3].capacity": 50, "clusters[1].capacity": 49})
    of_all = "of all calls to dapr-test/nodeapp:3000, and its capacity is"
    assert texts(found, chosen) == [
        f"with every cluster there, cluster-1 gets 50 % {of_all} 49 %",
        # The calls of the lost cluster itself are gone, too.
        f"without cluster-1, cluster-3 gets 75 % {of_all} 50 %",
    ]
    assert texts(found, settings(**{"clusters[3].capacity": 75})) == []


def test_the_table_shows_matches_losses_and_what_was_before() -> None:
    matches = (("x-canary: true", served(cluster_3=100)),)
    now = row("cluster-2", served(cluster_1=75, cluster_3=25), matches=matches)
    by_set_name = row("cluster-2", now.served, "nodeapp.dapr-test.svc.clusterset.local", matches=matches)
    direct = row("cluster-1", served(cluster_1=100), policy="ActiveActive", direct="everyCaller is off")
    lost = (row("cluster-2", served(90, cluster_3=10)),)
    before = told(
        row("cluster-2", served(cluster_1=100)), row("cluster-3", served(cluster_3=100), policy="Locality")
    )
    found = told(now, by_set_name, direct, cluster_1=lost)
    console = Console(file=io.StringIO(), width=320)
    console.print(render.table("dev", found, before, NAMES))
    assert isinstance(console.file, io.StringIO)
    lines = [
        [cell.strip() for cell in line.strip("│\n").split("│")]
        for line in console.file.getvalue().splitlines()
        if "dapr-test" in line
    ]
    service = "dapr-test/nodeapp:3000"
    shares = "cluster-1 75 %, cluster-3 25 %; requests that match x-canary: true: cluster-3 100 %"
    assert lines == [
        ["cluster-2: nodeapp.dapr-test", service, "FailOver", shares,
         "cluster-1: cluster-3 10 %, 90 % refused", "cluster-1 100 %"],
        ["cluster-2: svc.clusterset.local", service, "FailOver", shares, "the same", "not there"],
        ["cluster-1: nodeapp.dapr-test", service, "ActiveActive",
         "cluster-1 100 % (local pods directly: everyCaller is off)", "the same", "not there"],
        ["cluster-3: nodeapp.dapr-test", service, "-", "gone", "", "cluster-3 100 %"],
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Paths:
    return repository(tmp_path)


def write(paths: Paths, **changes: Any) -> None:
    config = changed(read_environment("dev"), changes)
    document = {"config": {f"{PROJECT}:{key}": value for key, value in config.items()}}
    (paths.root / "Pulumi.own.yaml").write_text(yaml.safe_dump(document))


def preview(paths: Paths, *words: str) -> int:
    return command.run(parser().parse_args(["preview", "own", *words]), paths, Report())


def test_the_settings_alone_say_who_would_serve_whom(
    folder: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = {**FAIL_OVER, "targets": [{**FAIL_OVER["targets"][0], "match": CANARY}, FAIL_OVER["targets"][1]]}
    write(folder, policies=[policy])
    assert preview(folder, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    found = {(NAMES[one["client"]], one["callers"][0]): one for one in said["rows"]}
    client = found["cluster-2", "nodeapp.dapr-test"]
    assert {NAMES[one["cluster"]]: one["percent"] for one in client["served"]} == {
        "cluster-1": 75, "cluster-3": 25,
    }  # fmt: skip
    assert [one["headers"] for one in client["matches"]] == ["x-canary: true"]
    assert found["control-plane", "outside"]["where"] == "Prefix /nodeapp"
    (changed_one, *_) = [
        one for one in said["lost"][f"{KEY}cluster-1"] if NAMES[one["client"]] == "cluster-2"
    ]
    assert [NAMES[one["cluster"]] for one in changed_one["served"]] == ["cluster-3"]
    assert (said["now"], said["findings"], said["problems"], said["assumed"]) == (None, [], [], [])


def test_what_the_settings_do_not_allow_is_refused_after_it_was_shown(
    folder: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = {**FAIL_OVER, "targets": [{"cluster": "cluster-1"}]}
    write(folder, policies=[pinned], preview={"withoutHome": "error"})
    with pytest.raises(UserError, match="without cluster-1, nobody serves 100 % of the calls of cluster-2"):
        preview(folder, "--traffic")
    assert "cluster-2: nodeapp.dapr-test" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(UserError, match="--without cluster-9: there is no such cluster") as refused:
        preview(folder, "--traffic", "--without", "cluster-9")
    assert refused.value.code == 2


def test_a_cluster_beyond_its_capacity_with_another_lost_is_refused_where_the_settings_say_so(
    folder: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = {**FAIL_OVER, "lbType": "ActiveActive"}
    small = {"policies": [shared], "clusters[3].capacity": 60}
    write(folder, **small)
    assert preview(folder, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["level"], found["reason"], NAMES[found["lost"]]) == ("warn", "OverCapacity", "cluster-1")
    write(folder, **small, preview={"overCapacity": "error"})
    with pytest.raises(UserError, match="without cluster-1, cluster-3 gets 75 % of all calls"):
        preview(folder, "--traffic")
    write(folder, **small, preview={"overCapacity": "ignore"})
    assert preview(folder, "--traffic") == 0


def test_what_is_there_now_comes_from_the_state(
    folder: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, policies=[])
    namespace = {"kind": "Namespace", "metadata": {"name": "dapr-test"}}
    exported = {**export("nodeapp", 3000), "metadata": {"name": "nodeapp", "namespace": "dapr-test"}}
    service = {
        "kind": "Service", "metadata": {"name": "nodeapp", "namespace": "dapr-test"},
        "spec": {"selector": {"app": "node"}, "ports": [{"port": 3000}]},
    }  # fmt: skip
    resources = [
        {"type": f"kubernetes:x:{one['kind']}", "provider": PROVIDER, "inputs": one}
        for one in (namespace, exported, service)
    ]
    monkeypatch.setattr(Engine, "exists", lambda _: True)
    monkeypatch.setattr(Engine, "state", lambda _: {"deployment": {"resources": resources}})
    assert preview(folder, "--json", "--without", "cluster-3") == 0
    said = json.loads(capsys.readouterr().out)
    assert [NAMES[one["client"]] for one in said["now"]["rows"]] == ["cluster-1"]
    assert f"{KEY}cluster-3" not in said["lost"]
    assert {NAMES[one["client"]] for one in said["rows"]} == {"control-plane", "cluster-1", "cluster-2"}


def test_the_program_hands_on_what_it_asked_and_nobody_asks_again(
    folder: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, policies=[FAIL_OVER])
    assert preview(folder, "--json") == 0
    asked = json.loads(capsys.readouterr().out)
    chosen = parse(changed(read_environment("dev"), {"policies": [FAIL_OVER]}))
    file = folder.state / "handed.json"
    folder.state.mkdir(exist_ok=True)
    monkeypatch.setenv(handed.VARIABLE, str(file))
    asyncio.run(foretold.traffic(chosen, "own"))
    known = handed.taken(file)
    assert known is not None
    monkeypatch.setattr(what_if, "ask", None)
    monkeypatch.setattr(command, "planned", None)
    arguments = parser().parse_args(["preview", "own", "--json"])
    command.show(arguments, engine_of(folder, "own", Report()), Report(), None, known)
    assert json.loads(capsys.readouterr().out) == asked


def test_nothing_is_handed_on_where_nobody_asks_for_it(folder: Paths) -> None:
    handed.hand_on(handed.Handed(said={}, told={}))
    assert handed.taken(folder.state / "handed.json") is None


def test_nothing_is_told_of_another_mesh(folder: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, mesh="flomesh")
    assert preview(folder, "--traffic") == 0
    assert "bundled mesh alone" in capsys.readouterr().err
