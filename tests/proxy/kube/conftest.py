"""Real API servers for the e2e tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.harness.api_server import ApiServer, NoBinaryError


@pytest.fixture(scope="module")
def api_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], list[ApiServer]]]:
    """Starts so many API servers with our CRDs; they live until the module is done."""

    def start(count: int) -> list[ApiServer]:
        try:
            made = [ApiServer(tmp_path_factory.mktemp("api")) for _ in range(count)]
        except NoBinaryError as error:
            pytest.skip(str(error))
        for server in made:
            running.enter_context(server)
            server.install_crds()
        return made

    with ExitStack() as running:
        yield start
