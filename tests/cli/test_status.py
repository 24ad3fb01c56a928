"""What ./stack status shows of a platform."""

from __future__ import annotations

import io
import json

import pytest
from platforms.world import GATEWAYS, SLOW, World, condition, endpoint_slice, http_endpoint, named
from rich.console import Console

from cli.arguments import parser
from cli.observe.callers import callers
from cli.status.as_json import as_json
from cli.status.show import wanted
from cli.status.tables import render, served_by


def shown(world: World, *words: str) -> str:
    """What `./stack status` with these words shows."""
    chosen = wanted(parser().parse_args(["status", *words]))
    console = Console(file=io.StringIO(), width=200)
    console.print(render(world.platform(), chosen=chosen))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_healthy_platform_shows_versions_conditions_and_shares() -> None:
    text = shown(World())
    assert "v1.34.4" in text
    assert "1.16.0" in text
    assert "FailOver to cluster-1 100, cluster-3 100" in text
    assert "cluster-1 50 %, cluster-3 50 %" in text
    assert "✗" not in text


def test_a_cluster_that_is_down_is_a_row_that_says_so() -> None:
    world = World()
    world["cluster-3"].error = "does not answer within 4 s"
    (row,) = [line for line in shown(world).splitlines() if line.startswith("│ ✗ │ cluster-3")]
    assert "does not answer within 4 s" in row


def test_objects_that_were_not_read_are_rows_that_say_so() -> None:
    world = World()
    for kind in ("ServiceExport", "ServiceImport", "Deployment"):
        world["cluster-1"].not_telling(kind)
    text = shown(world)
    (row,) = [line for line in text.splitlines() if line.startswith("│ ? │ cluster-1")]
    assert "ServiceExport, ServiceImport" in row
    assert str(SLOW) in row
    (row,) = [line for line in text.splitlines() if line.startswith("│ ✗ │ cluster-1")]
    assert row.count("not known") == 2, "gateway and Dapr"
    assert "there is no" not in text
    assert "0/0" not in text
    assert f"cluster-1: ServiceExport objects: {SLOW}" in text


def test_json_has_null_for_what_was_not_read() -> None:
    world = World()
    for kind in ("ServiceExport", "Deployment", "Pod"):
        world["cluster-1"].not_telling(kind)
    found = as_json(world.platform())
    cluster = found["clusters"][1]
    assert cluster["gateway"] == {"ready": None, "wanted": None, "image": None}
    assert (cluster["exports"], cluster["serves"]) == (None, None)
    assert cluster["dapr"]["healthy"] is None
    assert cluster["imports"]
    assert found["healthy"] is False


@pytest.mark.parametrize("words", [("--wrong",), ()])
def test_rows_of_a_cluster_that_does_not_answer_are_unknown_and_not_none(words: tuple[str, ...]) -> None:
    world = World()
    world["cluster-2"].error = "does not answer within 4 s"
    text = shown(world, "--kind", "traffic", "--cluster", "cluster-2", *words)
    assert "cluster-2: all" in text
    assert "not known: could not be read (" in text
    assert "from outside" not in text
    text = shown(world, "--kind", "exports", "--cluster", "cluster-2", *words)
    assert "│ ? │ cluster-2 │ ServiceExport │" in text


def test_callers_and_their_endpoints_that_were_not_read_are_unknown() -> None:
    world = World()
    world["cluster-2"].not_telling("EndpointSlice", "dapr-test")
    assert "not known whether callers pass the gateway" in shown(world)
    world["cluster-2"].scale_to_zero("gateway")
    world["cluster-2"].not_telling("ServiceImport")
    assert f"not known: {SLOW}" in shown(world, "--kind", "traffic")


def test_when_all_are_ejected_all_are_tried() -> None:
    world = World()
    world["cluster-2"].ejected = {"172.28.0.1:81", "172.28.0.1:83"}
    world["cluster-2"].follow()
    assert served(world, "cluster-2: its pods") == (
        "FailOver, cluster-1 50 %, cluster-3 50 %, all are ejected, so all are tried, "
    )


def test_problems_send_to_the_doctor() -> None:
    world = World()
    world["control-plane"].scale_to_zero("multicluster-hub")
    text = shown(world)
    assert "✗ control-plane: hub" in text
    assert "./stack doctor dev" in text


def test_what_the_settings_have_and_a_cluster_has_lost_is_not_well() -> None:
    world = World()
    world.no_policy()
    world["cluster-3"].objects["ServiceExport"] = []
    text = " ".join(shown(world, "--wrong").split())
    for lost in ("cluster-2: GlobalTrafficPolicy", "cluster-3: ServiceExport"):
        assert f"✗ {lost} dapr-test/nodeapp: the settings have it, and it is not there" in text
    world["cluster-3"].not_telling("ServiceExport")
    assert "cluster-3: ServiceExport dapr-test/nodeapp" not in shown(world, "--wrong"), "it may be there"


def test_json_carries_who_serves_what() -> None:
    found = as_json(World().platform())
    assert found["healthy"] is True
    (caller,) = [cluster for cluster in found["clusters"] if cluster["name"] == "cluster-2"]
    (route,) = [route for route in caller["serves"] if route["door"] == "east-west"]
    assert {part["cluster"].rpartition("/")[2]: part["percent"] for part in route["shares"]} == {
        "cluster-2": 0.0,
        "cluster-1": 50.0,
        "cluster-3": 50.0,
    }
    assert caller["policies"][0]["conditions"][0]["status"] == "True"


def served(world: World, callers: str) -> str:
    """What the table says of these callers: policy, who serves, and how many answers."""
    rows = [line.split("│")[1:-1] for line in shown(world).splitlines() if "dapr-test/nodeapp" in line]
    return next(", ".join(cell.strip() for cell in row[2:]) for row in rows if row[0].strip() == callers)


def test_callers_of_a_service_that_is_taken_over_get_the_shares_of_the_policy() -> None:
    world = World()
    world.take_over()
    assert served(world, "cluster-1: its pods") == "ActiveActive, cluster-1 50 %, cluster-3 50 %, "


def test_callers_who_go_past_the_gateways_are_told_with_the_reason() -> None:
    world = World()
    cluster = world.take_over(reason="PortNotCarried", message="port 9000 speaks grpc")
    direct = "ActiveActive, cluster-1 100 % (local pods directly: {}), "
    assert served(world, "cluster-1: its pods") == direct.format("PortNotCarried")
    assert (
        served(world, "cluster-1: svc.clusterset.local") == "ActiveActive, cluster-1 50 %, cluster-3 50 %, "
    )
    assert "✗" in next(line for line in shown(world).splitlines() if "EveryCaller: PortNotCarried" in line)
    policy = cluster.get("GlobalTrafficPolicy", "nodeapp")
    policy["status"]["conditions"] = [condition("Programmed")]
    assert served(world, "cluster-1: its pods") == direct.format("not taken over yet")
    policy["metadata"]["annotations"] = {}
    assert served(world, "cluster-1: its pods") == direct.format("everyCaller is off")


def test_under_locality_local_pods_are_what_the_policy_says() -> None:
    world = World()
    cluster = world.take_over(lb_type="Locality", reason="NotNeeded", message="")
    cluster.get("GlobalTrafficPolicy", "nodeapp")["spec"]["targets"] = []
    cluster.follow()
    assert served(world, "cluster-1: its pods") == "Locality, cluster-1 100 %, "
    assert "svc.clusterset.local" not in shown(world)


def test_callers_reach_local_pods_while_no_gateway_is_ready() -> None:
    world = World()
    cluster = world.take_over()
    cluster.scale_to_zero("gateway")
    for name, listed_in in (("nodeapp", "nodeapp-imported"), ("nodeapp-clusterset", "nodeapp-clusterset")):
        cluster.drop("EndpointSlice", listed_in)
        cluster.add("EndpointSlice", endpoint_slice(name, "dapr-test", "10.42.0.9", imported=True))
    assert (
        served(world, "cluster-1: its pods")
        == "ActiveActive, cluster-1 100 % (local pods directly: no gateway is ready), "
    )
    world["cluster-2"].scale_to_zero("gateway")
    world["cluster-2"].objects["EndpointSlice"] = [endpoint_slice("nodeapp", "dapr-test", imported=True)]
    assert served(world, "cluster-2: its pods") == "FailOver, nobody: refused, "


def test_an_app_id_has_a_row_of_its_own_only_where_it_differs() -> None:
    world = World()
    world["cluster-2"].add("HTTPEndpoint", http_endpoint())
    follows = "FailOver, cluster-1 50 %, cluster-3 50 %, "
    assert served(world, "cluster-2: its pods, app-id nodeapp") == follows
    world.take_over(reason="Headless", message="").add("HTTPEndpoint", http_endpoint())
    both = "ActiveActive, cluster-1 50 %, cluster-3 50 %, "
    assert served(world, "cluster-1: app-id nodeapp, svc.clusterset.local") == both


def test_an_httpendpoint_of_somebody_else_is_none_of_ours() -> None:
    world = World()
    foreign = http_endpoint()
    foreign["metadata"]["labels"] = {}
    world["cluster-2"].add("HTTPEndpoint", foreign)
    assert "app-id" not in shown(world)


def test_an_external_name_is_called_past_the_gateways() -> None:
    world = World()
    cluster = world.take_over(reason="ExternalName", message="")
    cluster.get("Service", "nodeapp")["spec"] = {"type": "ExternalName"}
    cluster.drop("EndpointSlice", "nodeapp-x")
    assert "local pods directly: ExternalName" in served(world, "cluster-1: its pods")


def test_nobody_answers_a_service_whose_gateways_are_not_listed() -> None:
    world = World()
    world["cluster-2"].objects["EndpointSlice"] = []
    assert served(world, "cluster-2: its pods") == "FailOver, nobody: refused, "


def test_json_says_who_goes_past_the_gateways() -> None:
    world = World()
    world.take_over(reason="Headless", message="")
    (cluster,) = [one for one in as_json(world.platform())["clusters"] if one["name"] == "cluster-1"]
    own, by_set = (entry for entry in cluster["serves"] if entry["door"] == "east-west")
    assert (own["callers"], own["direct"]) == (["its pods"], "Headless")
    assert [(share["cluster"], share["percent"]) for share in own["shares"]] == [
        ("default/default/default/cluster-1", 100)
    ]
    assert (by_set["callers"], by_set["direct"]) == (["svc.clusterset.local"], "")


def test_json_of_a_cluster_that_is_down_says_why() -> None:
    world = World()
    world["cluster-1"].error = "connection refused"
    found = as_json(world.platform())
    assert found["healthy"] is False
    assert {"reachable": False, "error": "connection refused"}.items() <= found["clusters"][1].items()


def test_status_says_where_marked_requests_go_and_parts_of_a_percent() -> None:
    world = World()
    keys = [f"default/default/default/cluster-{number}" for number in (1, 3)]
    weights = [{"clusterKey": key, "weight": weight} for key, weight in zip(keys, (999, 1), strict=True)]
    world.set_policy("ActiveActive", weights)
    match = {keys[1]: {"headers": [{"name": "x-canary", "value": "true"}]}}
    metadata = world["cluster-2"].get("GlobalTrafficPolicy", "nodeapp")["metadata"]
    metadata["annotations"] = {"multicluster.flomesh.io/match": json.dumps(match)}
    world["cluster-2"].follow()
    platform = world.platform()
    (found, *_) = callers(platform.cluster("cluster-2"))
    said = served_by(platform, found)
    assert "cluster-1 99.9 %, cluster-3 0.1 %; x-canary: true → cluster-3 100 %" in said
    (caller,) = [one for one in as_json(world.platform())["clusters"] if one["name"] == "cluster-2"]
    (route,) = [route for route in caller["serves"] if route["door"] == "east-west"]
    (marked,) = route["matches"]
    assert marked["headers"] == "x-canary: true"
    assert [share["cluster"] for share in marked["shares"] if share["percent"]] == [keys[1]]


def count(world: World, cluster: str, where: str, **answered: int) -> None:
    """Let the cluster's gateway say that it has brought so many requests of a route to each cluster."""
    page = world[cluster].config
    for raw in (*page["northSouth"], *page["eastWest"]):
        for one in (one for priority in raw["priorities"] for one in priority):
            if raw["where"] == where:
                one["answered"] = answered.get(one["cluster"].rpartition("/")[2].replace("-", "_"), 0)


def test_each_row_has_the_answers_of_its_own_callers() -> None:
    world = World()
    count(world, "cluster-2", "nodeapp.dapr-test:3000", cluster_1=7, cluster_3=5)
    count(world, "control-plane", "Prefix /nodeapp", cluster_3=2)
    count(world, "cluster-1", "Prefix /nodeapp", cluster_1=9)
    assert served(world, "cluster-2: its pods").endswith("cluster-1 7, cluster-3 5")
    assert served(world, "control-plane: from outside, /nodeapp").endswith(", cluster-3 2")
    assert served(world, "cluster-1: from outside, /nodeapp").endswith(", cluster-1 9")
    assert served(world, "cluster-1: its pods").endswith("cluster-1 100 %, ")
    found = as_json(world.platform())["clusters"]
    (row,) = [
        row for one in found if one["name"] == "control-plane" for row in one["serves"] if "where" in row
    ]
    assert {part["cluster"].rpartition("/")[2]: part["answered"] for part in row["shares"]}["cluster-3"] == 2


def test_watching_shows_the_answers_since_the_last_look() -> None:
    world = World()
    count(world, "cluster-2", "nodeapp.dapr-test:3000", cluster_1=7, cluster_3=5)
    before = world.platform()
    world["cluster-2"].follow()
    count(world, "cluster-2", "nodeapp.dapr-test:3000", cluster_1=10, cluster_3=1)
    console = Console(file=io.StringIO(), width=200)
    console.print(render(world.platform(), before))
    assert isinstance(console.file, io.StringIO)
    (row,) = [
        line for line in console.file.getvalue().splitlines() if line.startswith("│ cluster-2: its pods")
    ]
    # What counts less than before has begun again: how many of these are new is not known.
    assert row.rstrip("│ ").endswith("cluster-1 3")


def titles(text: str) -> list[str]:
    names = ("Clusters of dev", "Exports, imports and policies", "Who serves now")
    return [name for name in names if name in text]


def with_a_shop() -> World:
    """Another service, whose policy nobody has looked at yet."""
    world = World()
    world["cluster-2"].add("GlobalTrafficPolicy", named("shop", "checkout", spec={"lbType": "Locality"}))
    return world


def test_rows_of_one_cluster() -> None:
    text = shown(World(), "--cluster", "cluster-2")
    assert titles(text) == ["Clusters of dev", "Exports, imports and policies", "Who serves now"]
    assert "cluster-2: its pods" in text
    assert not [line for line in text.splitlines() if line.startswith(("│ cluster-1:", "│ ✔ │ cluster-1"))]


def test_rows_of_one_service_by_name_by_namespace_and_by_pattern() -> None:
    world = with_a_shop()
    for words in (("--service", "checkout"), ("--service", "shop/check*"), ("--namespace", "shop")):
        rows = [line for line in shown(world, *words, "--kind", "policies").splitlines() if "/" in line]
        assert len(rows) == 1, words
        assert "shop/checkout" in rows[0]
    both = shown(world, "--service", "checkout", "--service", "nodeapp", "--kind", "policies")
    assert ("shop/checkout" in both, "dapr-test/nodeapp" in both) == (True, True)
    neither = ("--service", "checkout", "--namespace", "dapr-test", "--kind", "policies")
    assert "nothing of that kind" in shown(world, *neither)


def test_a_service_that_nobody_has_is_answered_with_those_that_are_known() -> None:
    for words in (("--service", "chekout"), ("--namespace", "shops"), ("--service", "shop/nodeapp")):
        text = " ".join(shown(with_a_shop(), *words).split())
        assert "No service here is called so. Known: dapr-test/nodeapp, shop/checkout." in text, words
    for words in (("--service", "check*"), ("--kind", "imports"), ()):
        assert "called so" not in shown(with_a_shop(), *words)
    world = with_a_shop()
    world["cluster-3"].error = "does not answer within 4 s"
    text = " ".join(shown(world, "--service", "chekout").split())
    assert "No service that was read is called so; not all of cluster-3 was. Known: " in text


def test_rows_of_one_kind() -> None:
    assert titles(shown(World(), "--kind", "traffic")) == ["Who serves now"]
    assert titles(shown(World(), "--kind", "clusters")) == ["Clusters of dev"]
    text = shown(World(), "--kind", "imports")
    assert titles(text) == ["Exports, imports and policies"]
    assert ("ServiceImport" in text, "ServiceExport" in text) == (True, False)


def test_only_what_is_not_well() -> None:
    assert shown(World(), "--wrong").strip() == "All that was asked for is well."
    text = shown(with_a_shop(), "--wrong")
    assert titles(text) == ["Exports, imports and policies"]
    assert "not looked at yet" in text
    world = World()
    world["cluster-3"].error = "does not answer within 4 s"
    rows = [line for line in shown(world, "--wrong").splitlines() if line.startswith("│ ✗")]
    assert [row.split("│")[2].strip() for row in rows] == ["cluster-3"]


def test_traffic_is_not_well_with_somebody_left_out_or_nobody_to_serve() -> None:
    world = World()
    world["cluster-2"].ejected = {GATEWAYS["cluster-1"]}
    world["cluster-2"].follow()
    assert "cluster-1 is ejected" in shown(world, "--wrong", "--kind", "traffic")
    world["cluster-2"].ejected = set()
    world["cluster-2"].follow()
    world["cluster-2"].objects["EndpointSlice"] = []
    assert "nobody: refused" in shown(world, "--wrong", "--kind", "traffic")


def test_traffic_past_the_gateways_is_well_where_that_is_meant() -> None:
    world = World()
    cluster = world.take_over(reason="Headless", message="")
    assert "Headless" in shown(world, "--wrong", "--kind", "traffic")
    policy = cluster.get("GlobalTrafficPolicy", "nodeapp")
    policy["status"]["conditions"], policy["metadata"]["annotations"] = [condition("Programmed")], {}
    assert titles(shown(world, "--wrong", "--kind", "traffic")) == []


def test_problems_and_health_are_of_what_was_chosen() -> None:
    world = with_a_shop()
    said = {"conditions": [condition("Programmed", "False", "UnknownTarget", "exports no such service")]}
    world["cluster-2"].objects["GlobalTrafficPolicy"][-1]["status"] = said
    assert "✗ cluster-2: GlobalTrafficPolicy shop/checkout" in shown(world)

    def healthy(*words: str) -> bool:
        found: bool = as_json(world.platform(), wanted(parser().parse_args(["status", *words])))["healthy"]
        return found

    assert [healthy(), healthy("--namespace", "shop"), healthy("--cluster", "cluster-2")] == [False] * 3
    assert [healthy("--service", "nodeapp"), healthy("--cluster", "cluster-1")] == [True] * 2


def test_json_has_the_chosen_rows_alone() -> None:
    chosen = wanted(parser().parse_args(["status", "--cluster", "cluster-2", "--kind", "policies"]))
    (found,) = as_json(World().platform(), chosen)["clusters"]
    assert (found["name"], len(found["policies"]), found["imports"], found["serves"]) == (
        "cluster-2",
        1,
        [],
        [],
    )
