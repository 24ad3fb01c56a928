"""Dapr's mTLS: one root for all members, made from a seed that is a secret."""

from __future__ import annotations

import copy
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.dapr import certificates, trust_root
from components.dapr.certificates import Seed

MEMBERS = ("cluster-1", "cluster-2", "cluster-3")
DRAWN = datetime(2026, 11, 26, 12, tzinfo=UTC)
TEXT = f"{int(DRAWN.timestamp())}\n{'0123456789abcdef' * 4}"
SEED = f"1764190000\n{'5eed' * 16}"
"""What the recorder answers for the seed."""


def off(config: dict[str, Any]) -> None:
    config["dapr"] = {"mtls": False}


def tls(recorder: Any, member: str) -> dict[str, Any]:
    found: dict[str, Any] = recorder.find(f"{member}-dapr-release").inputs["values"]["dapr_sentry"]["tls"]
    return found


def load(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def test_one_seed_makes_the_same_certificates_every_time() -> None:
    first, second = (certificates.issuer(Seed.parse(TEXT), "cluster-1") for _ in range(2))
    assert first == second, "other certificates on every run would restart Dapr on every run"
    other = certificates.issuer(Seed.parse(TEXT.replace("0", "1")), "cluster-1")
    assert other.root_id != first.root_id


def test_every_cluster_has_an_issuer_of_its_own_below_the_one_root() -> None:
    issuers = [certificates.issuer(Seed.parse(TEXT), member) for member in MEMBERS]
    assert len({one.root for one in issuers}) == 1
    assert len({one.key for one in issuers}) == len(MEMBERS)
    root = load(issuers[0].root)
    for one, member in zip(issuers, MEMBERS, strict=True):
        own = load(one.certificate)
        own.verify_directly_issued_by(root)
        assert own.subject.rfc4514_string() == f"CN=multicluster-dapr issuer of {member}"
        key = serialization.load_pem_private_key(one.key.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.curve.name == "secp256r1"
        assert key.public_key() == own.public_key() != root.public_key()


def test_root_and_issuer_may_sign_and_nothing_below_an_issuer_may() -> None:
    one = certificates.issuer(Seed.parse(TEXT), "cluster-1")
    for pem, below in ((one.root, 1), (one.certificate, 0)):
        certificate = load(pem)
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert basic.critical
        assert (basic.value.ca, basic.value.path_length) == (True, below)
        assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
        assert certificate.not_valid_before_utc == DRAWN - timedelta(hours=1)
        assert certificate.not_valid_after_utc == DRAWN + certificates.LIFETIME


def test_a_long_cluster_name_fits_a_certificate() -> None:
    assert load(certificates.issuer(Seed.parse(TEXT), "c" * 63).certificate).subject.rfc4514_string()


@pytest.mark.parametrize("text", ["", "soon 00ff", "1764190000 no-digits", "1764190000", "1 2 3"])
def test_a_seed_that_is_none_is_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a time and hexadecimal digits$") as caught:
        Seed.parse(text)
    assert caught.value.__suppress_context__


def test_a_drawn_seed_is_32_bytes_new_each_time_and_of_now() -> None:
    seeds = [
        Seed.parse(
            subprocess.run(
                ["/bin/sh", "-c", trust_root.DRAW], capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(2)
    ]
    assert [len(seed.secret) for seed in seeds] == [32, 32]
    assert seeds[0].secret != seeds[1].secret
    assert abs(datetime.now(UTC) - seeds[0].drawn) < timedelta(minutes=5)


def test_the_articles_dapr_has_no_root_without_mtls(run: Any) -> None:
    recorder = run("article")
    assert not [r.name for r in recorder.registered if "trust" in r.name]
    values = recorder.find("cluster-1-dapr-release").inputs["values"]
    assert values["global"]["mtls"] == {"enabled": False}
    assert "dapr_sentry" not in values
    assert "labels" not in values["global"]


def test_switching_mtls_restarts_sidecars_and_leaves_daprs_own_parts_alone(run: Any) -> None:
    """Sidecars speak TLS with these in any case; another root would have all of them restart at once."""
    without, with_mtls = run("dev", off), run("dev")
    for member in MEMBERS:
        before, after = (
            copy.deepcopy(one.find(f"{member}-dapr-release").inputs["values"]) for one in (without, with_mtls)
        )
        assert before["global"].pop("mtls") == {"enabled": False}
        assert after["global"].pop("mtls") == {"enabled": True}
        assert before == after
    for app in ("cluster-1-dapr-test-nodeapp", "cluster-2-curl-curl"):
        before, after = (annotations_of(one, app) for one in (without, with_mtls))
        assert after == {**before, "multicluster-dapr/mtls": "on"}
        waits = with_mtls.find(app).after
        assert any(name.endswith("-dapr-release") for name in waits), "the injector is to know by then"


def annotations_of(recorder: Any, app: str) -> dict[str, Any]:
    spec = recorder.find(f"{app}-deployment").inputs["spec"]
    found: dict[str, Any] = spec["template"]["metadata"]["annotations"]
    return found


def test_with_mtls_every_member_trusts_the_one_root(run: Any) -> None:
    recorder = run("dev")
    assert len([r for r in recorder.registered if r.name == "dapr-trust-root-seed"]) == 1
    found = [tls(recorder, member) for member in MEMBERS]
    assert len({one["root"]["certPEM"] for one in found}) == 1
    assert len({one["issuer"]["keyPEM"] for one in found}) == len(MEMBERS)
    for one in found:
        load(one["issuer"]["certPEM"]).verify_directly_issued_by(load(one["root"]["certPEM"]))


def test_seed_and_keys_are_secrets_wherever_they_go(run: Any) -> None:
    recorder = run("dev")
    seed = recorder.find("dapr-trust-root-seed")
    assert seed.inputs["logging"] == "none"
    assert seed.inputs["addPreviousOutputInEnv"] is False
    for resource in recorder.registered:
        text = str(resource.in_clear)
        assert "5eed5eed" not in text, resource.name
        assert "PRIVATE KEY" not in text, resource.name
    release = recorder.find("cluster-1-dapr-release")
    assert "PRIVATE KEY" in str(release.inputs), "the test looks in the right place"


def test_a_new_root_restarts_daprs_control_plane_and_the_apps(run: Any) -> None:
    recorder = run("dev")
    release = recorder.find("cluster-1-dapr-release").inputs["values"]
    labels = release["global"]["labels"]
    assert labels == {"multicluster-dapr/trust-root": certificates.issuer(Seed.parse(SEED), "any").root_id}
    for app in ("cluster-1-dapr-test-nodeapp", "cluster-2-curl-curl"):
        deployment = recorder.find(f"{app}-deployment")
        annotations = deployment.inputs["spec"]["template"]["metadata"]["annotations"]
        assert labels.items() <= annotations.items(), "a sidecar learns the root only when its pod starts"
        assert deployment.in_clear["spec"] == deployment.inputs["spec"], "nothing secret in it"
