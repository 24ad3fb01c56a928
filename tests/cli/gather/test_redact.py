"""No secret gets into an archive, whatever clothes it wears; what is no secret stays readable."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.gather.redact import (
    MARK,
    PULUMI_SECRET,
    Redactor,
    cluster_secrets,
    state_secrets,
    without_secrets,
)

PASSWORD = 'pa"ss/word+1'
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"
TOKEN = "eyJhbGciOiJSUzI1NiIs.eyJpc3MiOiJrdWJlcm5ldGVz.c2lnbmF0dXJl"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kubeconfig() -> str:
    user = {
        "client-certificate-data": encoded("a certificate"),
        "client-key-data": encoded(KEY),
        "token": TOKEN,
    }
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "default",
        "clusters": [{"name": "default", "cluster": {"server": "https://127.0.0.1:6444"}}],
        "users": [{"name": "default", "user": user}],
    })  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        PASSWORD,
        json.dumps({"a": PASSWORD}),
        f"redis://:{quote(PASSWORD, safe='')}@host",
        f"x {encoded(PASSWORD)} y",
    ],
    ids=["as it is", "in JSON", "in a URL", "in base64"],
)
def test_a_known_secret_is_replaced_however_it_is_written(text: str) -> None:
    redacted = Redactor([PASSWORD])(text)
    assert MARK in redacted
    assert "ss/word" not in redacted
    assert encoded(PASSWORD) not in redacted


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_secret_inside_a_message_in_base64_is_replaced_at_any_offset(before: bytes, after: bytes) -> None:
    message = before + b"correct-horse-battery" + after
    run = base64.b64encode(message).decode()
    assert run not in Redactor(["correct-horse-battery"])(f"property value={run} sent")


@pytest.mark.parametrize("text", [KEY, f"Authorization: Bearer {TOKEN}", f"client-key-data: {encoded(KEY)}",
                                  'requirepass "hunter22"', encoded(KEY)])  # fmt: skip
def test_what_looks_like_a_secret_is_replaced_without_being_known(text: str) -> None:
    redacted = Redactor([])(f"before {text} after")
    assert MARK in redacted
    for part in ("MIIE", "hunter22", TOKEN, encoded(KEY)):
        assert part not in redacted


@pytest.mark.parametrize(
    "name", ["api_key", "access_token", "X-Amz-Signature", "pwd", "code", "amp;sessionid"]
)
def test_a_parameter_called_like_a_secret_is_replaced_and_the_rest_of_the_url_is_not(name: str) -> None:
    text = f'{{"target":"/orders?page=2&{name}=hunter22&sort=up"}}'
    assert Redactor([])(text) == f'{{"target":"/orders?page=2&{name}={MARK}&sort=up"}}'


def test_other_parameters_stay() -> None:
    text = "GET /api/v1/pods?limit=500&resourceVersion=12&continue=a HTTP/1.1, key=5"
    assert Redactor([])(text) == text


def test_ordinary_text_stays_as_it_is() -> None:
    text = "nodeapp-86f8f4bcb-zjd2b runs ghcr.io/dapr/daprd:1.16.0, sha256:0123456789abcdef0123456789"
    assert Redactor([PASSWORD])(text) == text


def test_short_values_are_not_looked_for() -> None:
    assert Redactor(["dev"])("environment dev") == "environment dev"


def marked(value: object) -> dict[str, str]:
    return {PULUMI_SECRET: "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps(value)}


def test_the_secrets_of_a_state_are_its_marked_values_and_what_kubeconfigs_hold() -> None:
    state = {
        "resources": [
            {"outputs": {"value": marked(PASSWORD), "kubeconfig": marked(kubeconfig())}},
            {"inputs": {"data": marked({"redis-password": encoded("another one")})}},
            {"outputs": {"__inputs": marked({"image": "ghcr.io/dapr/daprd"}), "image": "ghcr.io/dapr/daprd"}},
            {"inputs": {"uploads": marked([{"content": 'dir /data\nrequirepass "swordfish!"\n'}])}},
        ]
    }
    found = state_secrets(state)
    assert {PASSWORD, encoded(KEY), TOKEN, "another one", encoded("another one"), "swordfish!"} <= found
    assert "ghcr.io/dapr/daprd" not in found, "it stands in clear elsewhere"
    assert not {value for value in found if "https://" in value}, "the rest of a kubeconfig is no secret"


def test_of_a_kubernetes_secret_the_public_parts_and_manifests_of_helm_are_left() -> None:
    data = {
        "token": encoded(TOKEN),
        "ca.crt": encoded("a certificate"),
        "namespace": encoded("multicluster-system"),
    }
    found = cluster_secrets({"type": "kubernetes.io/service-account-token", "data": data})
    assert TOKEN in found
    assert "multicluster-system" not in found
    assert not cluster_secrets({"type": "helm.sh/release.v1", "data": {"release": encoded("x" * 40)}})


def test_a_state_and_a_stack_file_are_kept_without_their_secrets() -> None:
    assert without_secrets({"outputs": {"value": marked("x"), "plain": "y"}}) == {
        "outputs": {"value": MARK, "plain": "y"}
    }
    assert without_secrets({"encryptionsalt": "v1:abc", "config": {"redisPassword": {"secure": "v1:x"}}}) == {
        "encryptionsalt": MARK,
        "config": {"redisPassword": MARK},
    }


def test_variables_of_a_container_lose_their_secrets_and_nothing_else() -> None:
    inspected = [{"Config": {"Env": ["K3S_TOKEN=abc", "PATH=/bin"]}}]
    assert without_secrets(inspected) == [{"Config": {"Env": [f"K3S_TOKEN={MARK}", "PATH=/bin"]}}]
