"""What the ConfigMap measurement makes of its turns."""

from bench.configmaps import COMPONENTS, MAPS_BY_UP, PLAIN, rows
from bench.figures import OURS, Result, as_json


def test_the_stand_in_is_compared_with_the_plain_client_of_the_same_turn() -> None:
    found = {PLAIN: [1.0, 4.0, 1.0], OURS: [2.0, 8.0, 5.0], MAPS_BY_UP: [20.0] * 3, COMPONENTS: [10.0] * 3}
    alone, by_up, *seconds = as_json("plugins", Result(rows(found)), {})["rows"]
    assert alone["ratio"] == {PLAIN: 0.5}
    assert alone["goal"] == 0.5, "at most twice the time"
    assert by_up["ratio"][COMPONENTS] == 0.5
    assert [row["median"][OURS] for row in seconds] == [1.0, 5.0, 20.0, 10.0]
