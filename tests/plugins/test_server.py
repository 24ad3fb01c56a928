"""What the engine is told over its protocol; no engine needed."""

from typing import Any, NoReturn

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from airgap.plugins.base.diff import Diff
from airgap.plugins.base.provider import Provider, Request, ResourceType, Values
from airgap.plugins.base.server import Servicer
from airgap.plugins.base.values import Secret, decode, encode

URN = "urn:pulumi:dev::project::my:component:Type$test:index:Thing::a::name"


class AbortedError(Exception):
    """The RPC ended with an error."""


class Context:
    """The server's side of one RPC."""

    async def abort(self, code: grpc.StatusCode, message: str) -> NoReturn:
        raise AbortedError(f"{code.name}: {message}")


class Things(ResourceType):
    """Says what it was asked, and fails on request."""

    async def diff(self, request: Request) -> Diff:
        return Diff({("a", 0): "update", ("b",): "delete"}, {("b",)}, delete_before_replace=True)

    async def create(self, request: Request) -> tuple[str, Values]:
        if request.inputs.get("fault"):
            raise KeyError("fault")
        return request.name, {"type": request.type, **request.inputs}


class Package(Provider):
    """A package of one type."""

    name = "test"

    def __init__(self) -> None:
        super().__init__()
        self.resource_types = {"test:index:Thing": Things()}


def create(context: Context, urn: str = URN, **inputs: Any) -> Any:
    request = provider_pb2.CreateRequest(urn=urn, properties=encode(inputs), timeout=5)
    return Servicer(Package()).Create(request, context)


async def test_type_and_name_of_a_resource_are_those_of_its_urn() -> None:
    answer = await create(Context(), x=Secret(1))
    assert answer.id == "a::name"
    assert decode(answer.properties) == {"type": "test:index:Thing", "x": Secret(1)}


async def test_a_fault_of_the_plugin_is_one_line() -> None:
    with pytest.raises(
        AbortedError, match=r"UNKNOWN: fault in the test replacement plugin .*KeyError: 'fault'$"
    ):
        await create(Context(), fault=True)


async def test_a_diff_has_its_paths_and_what_replaces() -> None:
    answer = await Servicer(Package()).Diff(provider_pb2.DiffRequest(urn=URN), Context())
    kinds = {path: one.kind for path, one in answer.detailedDiff.items()}
    assert kinds == {
        "a[0]": provider_pb2.PropertyDiff.UPDATE,
        "b": provider_pb2.PropertyDiff.DELETE_REPLACE,
    }
    assert (list(answer.replaces), answer.deleteBeforeReplace) == (["b"], True)


async def test_what_is_not_covered_is_refused_with_its_name() -> None:
    servicer, other = Servicer(Package()), "urn:pulumi:dev::project::test:index:Other::b"
    with pytest.raises(AbortedError, match="does not cover test:index:Other; declare one of Thing"):
        await create(Context(), urn=other)
    with pytest.raises(AbortedError, match="does not cover the component test:index:Group"):
        await servicer.Construct(provider_pb2.ConstructRequest(type="test:index:Group"), Context())
    with pytest.raises(AbortedError, match="does not cover the function test:index:decode"):
        await servicer.Invoke(provider_pb2.InvokeRequest(tok="test:index:decode"), Context())
