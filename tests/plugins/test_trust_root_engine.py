"""The root of Dapr's mTLS under the real engine: kept, secret, and replaced only on purpose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plugins.engine import REPOSITORY, Engine

pytestmark = pytest.mark.e2e

PROGRAM = f"""
    import sys
    sys.path.insert(0, {str(REPOSITORY)!r})

    import pulumi
    from components.dapr.trust_root import TrustRoot

    issuers = pulumi.Output.all(*map(TrustRoot("dapr-trust-root").issuer, ("one", "two")))
    pulumi.export("roots", pulumi.Output.unsecret(issuers.apply(lambda both: [one.root_id for one in both])))
    pulumi.export("keys", issuers.apply(lambda both: [one.key for one in both]))
"""


def test_a_root_stays_until_it_is_replaced_and_is_never_in_clear(engine: Engine, tmp_path: Path) -> None:
    stack = engine.stack(tmp_path / "root", PROGRAM)
    assert stack.changed()["dapr-trust-root-seed"] == ["create"], "a preview needs no seed"
    shown = stack.up().output
    first, second = stack.outputs()["roots"]
    assert first == second, "one root for both clusters"
    assert stack.changed() == {}
    stack.up()
    assert stack.outputs()["roots"] == [first, first]
    shown += stack.up("--replace", "**dapr-trust-root-seed").output
    (other,) = set(stack.outputs()["roots"])
    assert other != first
    everything = shown + str(stack.resources())
    assert "PRIVATE KEY" not in everything
    stdout = stack.state("dapr-trust-root-seed")["outputs"]["stdout"]
    assert set(stdout) > {"ciphertext"}, "the seed lies in the state in clear"
    assert not re.search(r"\d{10}\s+[0-9a-f]{64}", everything)
    stack.destroy()
