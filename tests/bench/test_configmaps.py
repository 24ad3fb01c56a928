"""What the ConfigMap measurement makes of its rounds."""

from bench.configmaps import summary


def test_ratios_are_those_of_the_same_round() -> None:
    rounds = [
        {"plain client": 1.0, "plugin": 2.0},
        {"plain client": 4.0, "plugin": 8.0},
        {"plain client": 1.0, "plugin": 9.0},
    ]
    found = summary(rounds)
    assert found["plain client"] == 1.0
    assert found["plugin"] == 8.0
    assert found["plugin / plain client"] == 2.0
