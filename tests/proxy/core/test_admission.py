"""What a member serves is held to what its API server should have admitted."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gateway.core.admission import check_export, check_key, check_service, may_export
from gateway.core.fields import FieldError
from gateway.core.reserved import reserved
from gateway.core.services import read_service


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (("../secrets", "app"), "metadata.namespace is '../secrets'"),
        (("demo", "app/status"), "metadata.name is 'app/status'"),
        (("demo", "nodeapp.dapr-test"), "metadata.name is 'nodeapp.dapr-test'"),
        (("demo", "\ud800"), "metadata.name is '\\ud800'"),
    ],
)
def test_a_name_that_no_object_has(key: tuple[str, str], words: str) -> None:
    check_key(("demo", "app"))
    with pytest.raises(FieldError, match=re.escape(words)):
        check_key(key)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rules": [{"portNumber": 1, "path": "/", "pathType": "Prefix"}] * 65}, "65 entries: at most 64"),
        ({"path": "/" + "a" * 1024}, "spec.rules[0].path has 1025 characters"),
        ({"pathRewrite": {"from": "a" * 1025, "to": "/"}}, "spec.pathRewrite.from has 1025 characters"),
        ({"targetClusters": "all"}, "spec.targetClusters is not a list"),
        ({"targetClusters": ["a/b/c/d"] * 129}, "129 entries: at most 128"),
        ({"targetClusters": ["a/b/c/\ud800"]}, "which no API server admits"),
        ({"targetClusters": ["a/b/c/d" * 100]}, "which no API server admits"),
        ({"targetClusters": [5]}, "spec.targetClusters is 5"),
        ({"serviceAccountName": "a\udfffb"}, "spec.serviceAccountName is 'a\\udfffb'"),
    ],
)
def test_what_the_crd_does_not_admit(make: Any, changes: dict[str, Any], words: str) -> None:
    check_export(make.export(targetClusters=["a/b/c/d"], serviceAccountName="*"))
    check_export(make.export(serviceAccountName="team.shop"))
    check_export(make.export())
    with pytest.raises(FieldError, match=re.escape(words)):
        check_export(make.export(**changes))


@pytest.mark.parametrize(
    ("port", "words"),
    [
        ({"name": "a\ud800"}, "the name of Service port 3000 is 'a\\ud800'"),
        ({"appProtocol": "x" * 254}, "appProtocol of Service port 3000"),
        ({"appProtocol": "ht tp"}, "appProtocol of Service port 3000 is 'ht tp'"),
    ],
)
def test_a_port_that_no_service_has(port: dict[str, Any], words: str) -> None:
    for fine in ({"name": "0-http"}, {"name": "http", "appProtocol": "kubernetes.io/ws"}, {}):
        check_service(read_service({"spec": {"ports": [{"port": 3000, **fine}]}}))
    with pytest.raises(FieldError, match=re.escape(words)):
        check_service(read_service({"spec": {"ports": [{"port": 3000, **port}]}}))


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [({}, None), ({"mayExport": ["a", 5]}, {"a"}), ({"mayExport": []}, set()), ({"mayExport": "a"}, set())],
)
def test_what_a_cluster_may_export(spec: dict[str, Any], allowed: set[str] | None) -> None:
    assert may_export({"spec": spec}) == allowed


@pytest.mark.parametrize(
    ("namespace", "words"),
    [
        ("default", "the system's"),
        ("kube-system", "the system's"),
        ("kube-public", "the system's"),
        ("multicluster-system", "the system's"),
        ("dapr-system", "the system's"),
        ("svc", "names that clusters go by"),
        ("org", "a public top-level domain"),
        ("io", "a public top-level domain"),
    ],
)
def test_namespaces_that_are_never_exported(namespace: str, words: str) -> None:
    assert words in reserved(namespace)


@pytest.mark.parametrize("namespace", ["dapr-test", "demo", "shop", "kubernetes", "q1"])
def test_namespaces_that_may_be(namespace: str) -> None:
    assert not reserved(namespace)
