"""Exports with nothing but a port: where they are published, and what the Service sees."""

from __future__ import annotations

from typing import Any

import re2
from config.environments import Config, changed, problems

from stacks.config import loading
from stacks.config.traffic import ExportSettings

EXPORT = {"service": "checkout", "namespace": "shop", "clusters": ["cluster-1"]}


def exported(dev: Config, *rules: Config, **keys: Any) -> ExportSettings:
    entry = {**EXPORT, "rules": list(rules), **keys}
    return loading.parse(changed(dev, {"exports[1]": entry})).exports[1]


def published(export: ExportSettings) -> list[tuple[int, str, str]]:
    return [(rule.port, rule.path, rule.path_type) for rule in export.path_rules]


def seen_by_the_service(export: ExportSettings, target: str) -> str:
    assert export.rewrite is not None
    return str(re2.sub(export.rewrite.from_, export.rewrite.to, target))


def test_a_path_is_by_default_that_of_the_service_and_taken_off_again(dev: Config) -> None:
    export = exported(dev, {"portNumber": 8080})
    assert published(export) == [(8080, "/shop/checkout", "Prefix")]
    for target, seen in {
        "/shop/checkout": "/",
        "/shop/checkout/": "/",
        "/shop/checkout/pay?a=/shop/checkout": "/pay?a=/shop/checkout",
        "/shop/checkout?a": "/?a",
    }.items():
        assert seen_by_the_service(export, target) == seen


def test_further_ports_have_paths_beside_the_first(dev: Config) -> None:
    export = exported(dev, {"portNumber": 8080}, {"portNumber": 9090, "pathType": "Exact"})
    assert published(export) == [(8080, "/shop/checkout", "Prefix"), (9090, "/shop/checkout:9090", "Exact")]
    assert seen_by_the_service(export, "/shop/checkout:9090/stats") == "/stats"
    assert seen_by_the_service(export, "/shop/checkout/9090") == "/9090"


def test_a_path_that_is_said_is_left_as_it_is(dev: Config) -> None:
    export = exported(dev, {"portNumber": 8080, "path": "/pay"})
    assert published(export) == [(8080, "/pay", "Prefix")]
    assert export.rewrite is None


def test_one_rewrite_cannot_take_off_some_paths_and_leave_others(dev: Config) -> None:
    mixed = [{"portNumber": 8080, "path": "/pay"}, {"portNumber": 9090}]
    entry = {**EXPORT, "rules": mixed}
    hint = "Write one as well, take the others out, or write the pathRewrite for all of them."
    assert problems(changed(dev, {"exports[1]": entry})) == [
        f"exports[1].rules[1].path: missing, and other rules have one. {hint}"
    ]
    rewrite = {"from": "^/(pay|shop/checkout)/?", "to": "/"}
    assert published(exported(dev, *mixed, pathRewrite=rewrite))[1] == (9090, "/shop/checkout", "Prefix")


def test_a_rewrite_that_is_said_is_the_one_done(dev: Config) -> None:
    rewrite = {"from": "^/shop/checkout", "to": "/v1"}
    export = exported(dev, {"portNumber": 80}, pathRewrite=rewrite)
    assert seen_by_the_service(export, "/shop/checkout/x") == "/v1/x"


def test_an_app_id_is_the_one_said_or_that_of_the_app(dev: Config) -> None:
    settings = loading.parse(changed(dev, {"exports[1]": {**EXPORT, "rules": [{"portNumber": 80}]}}))
    assert [settings.app_id(export) for export in settings.exports] == ["nodeapp", None]
    assert settings.app_id(exported(dev, {"portNumber": 80}, appId="pay")) == "pay"
    elsewhere = {**EXPORT, "service": "nodeapp", "rules": [{"portNumber": 80}]}
    settings = loading.parse(changed(dev, {"exports[1]": elsewhere}))
    assert settings.app_id(settings.exports[1]) is None, "somebody else's Service of the same name"
