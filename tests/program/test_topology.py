from __future__ import annotations
from pathlib import Path
import pulumi, yaml
from stacks import settings, supply, topology

ROOT = Path(__file__).parents[2]


def test_dev(recorder):
    s = settings.parse_stack_file(yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text()))
    sup = supply.resolve(s, {})

    @pulumi.runtime.test
    def run():
        t = topology.build(s, sup, "dev")

    run()
    for r in recorder.resources:
        print(r.typ, r.name)
    print(recorder.named("command:local:Command", "cluster-2-k3d")["stdin"])
    print(len(recorder.resources))
