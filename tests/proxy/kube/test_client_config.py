"""Kubeconfigs written by somebody else: what is taken, what is refused, and that nothing leaks."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.kube.client_config import from_kubeconfig, in_cluster, own_config
from gateway.kube.errors import CredentialError


def kubeconfig(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **more: Any) -> str:
    server = {"server": "https://172.28.0.1:6445", "insecure-skip-tls-verify": True}
    return yaml.safe_dump(
        {
            "current-context": "hub",
            "contexts": [{"name": "hub", "context": {"cluster": "one", "user": "hub"}}],
            "clusters": [
                {"name": "other", "cluster": {}},
                {"name": "one", "cluster": {**server, **(cluster or {})}},
            ],
            "users": [{"name": "hub", "user": user or {"token": "secret-token"}}],
            **more,
        }
    )


def test_the_current_context_is_taken() -> None:
    config = from_kubeconfig(kubeconfig())
    assert (config.server, config.bearer()) == ("https://172.28.0.1:6445", "secret-token")
    assert config.ssl is not None
    assert config.ssl.verify_mode == ssl.CERT_NONE


def test_certificates_are_checked_unless_told_otherwise() -> None:
    config = from_kubeconfig(kubeconfig({"insecure-skip-tls-verify": False}))
    assert config.ssl is not None
    assert config.ssl.verify_mode == ssl.CERT_REQUIRED
    assert config.ssl.check_hostname


def test_a_token_is_not_in_the_words_of_a_client_config() -> None:
    assert "secret-token" not in repr(from_kubeconfig(kubeconfig()))


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("cluster", "certificate-authority"), ("cluster", "proxy-url"), ("user", "client-certificate"),
        ("user", "client-key"), ("user", "tokenFile"), ("user", "exec"), ("user", "auth-provider"),
    ],
)  # fmt: skip
def test_nothing_makes_us_read_files_or_start_programs(section: str, name: str) -> None:
    extra = {name: "/var/run/secrets/kubernetes.io/serviceaccount/token"}
    with pytest.raises(CredentialError, match=name):
        from_kubeconfig(kubeconfig(**{section: extra}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not YAML"),
        ("- a", "not a mapping"),
        ("{}", "no entry '' in contexts"),
        (kubeconfig(users=[]), "no entry 'hub' in users"),
        (kubeconfig({"server": "172.28.0.1:6445"}), "not an https:// address"),
        (kubeconfig({"certificate-authority-data": "%%%"}), "cannot be used"),
        (
            kubeconfig({"certificate-authority-data": base64.b64encode("é".encode()).decode()}),
            "cannot be used",
        ),
        (
            kubeconfig({"certificate-authority-data": base64.b64encode(b"no certificate").decode()}),
            "cannot be used",
        ),
        (kubeconfig(user={"client-certificate-data": "YQ==", "client-key-data": "YQ=="}), "cannot be used"),
    ],
)
def test_faulty_kubeconfigs_say_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(CredentialError, match=words) as caught:
        from_kubeconfig(text)
    assert "secret-token" not in str(caught.value)


def test_outside_a_pod_the_way_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="set KUBECONFIG"):
        own_config({})
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig())
    assert own_config({"KUBECONFIG": str(file)}).server == "https://172.28.0.1:6445"


def test_a_pods_token_is_read_again_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: None)
    (tmp_path / "token").write_text("first\n")
    config = in_cluster(tmp_path, {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"})
    assert (config.server, config.bearer()) == ("https://[fd00::1]:443", "first")
    (tmp_path / "token").write_text("second\n")
    assert config.bearer() == "second"
