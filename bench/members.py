"""Settings of an environment with any number of members, to measure how the program grows.

python -m bench.members 64 > Pulumi.members-64.yaml
"""

from __future__ import annotations

import sys
from typing import Any

import yaml

PROJECT = "multicluster-dapr"
# Host ports count up from these; they stay clear of Redis (6379) and of the dev environment.
FIRST_API_PORT = 7000
FIRST_HTTP_PORT = 8000
# One more, and an API port would be the first HTTP port.
MOST_MEMBERS = FIRST_HTTP_PORT - FIRST_API_PORT - 1


def stack_file(members: int) -> dict[str, Any]:
    """Pulumi.<env>.yaml as a mapping: every second member exports NodeApp, the second calls it.

    Raises ValueError when there are fewer than two members or their ports would overlap.
    """
    if not 2 <= members <= MOST_MEMBERS:
        raise ValueError(f"{members} members: choose 2 to {MOST_MEMBERS}, an exporter and a caller at least")
    names = [f"member-{number:02}" for number in range(1, members + 1)]
    exporters = names[::2]
    clusters = [
        {"name": "control-plane", "role": "control-plane", **_ports(0)},
        *({"name": name, **_ports(number)} for number, name in enumerate(names, 1)),
    ]
    settings: dict[str, Any] = {
        "network": {"name": "multi-clusters-scale", "subnet": "172.29.0.0/16"},
        "redis": {"port": 6380},
        "clusters": clusters,
        "apps": [
            {"app": "nodeapp", "clusters": exporters, "namespace": "dapr-test"},
            {"app": "curl", "clusters": [names[1]], "namespace": "curl"},
        ],
        "exports": [
            {
                "service": "nodeapp",
                "namespace": "dapr-test",
                "clusters": exporters,
                "pathRewrite": {"from": "^/nodeapp/?", "to": "/"},
                "rules": [{"portNumber": 3000, "path": "/nodeapp"}],
            }
        ],
        "policies": [
            {"cluster": names[1], "namespace": "dapr-test", "name": "nodeapp", "lbType": "ActiveActive"}
        ],
    }
    config = {f"{PROJECT}:{key}": value for key, value in settings.items()}
    return {"config": {"pulumi:disable-default-providers": ["*"], **config}}


def _ports(number: int) -> dict[str, int]:
    return {"apiPort": FIRST_API_PORT + number, "httpPort": FIRST_HTTP_PORT + number}


if __name__ == "__main__":
    yaml.safe_dump(stack_file(int(sys.argv[1])), sys.stdout, sort_keys=False)
