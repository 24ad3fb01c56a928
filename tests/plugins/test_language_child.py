"""The interpreter that runs a program never outlives the language host that started it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from airgap.plugins.language import child


def test_a_program_ends_when_its_host_is_gone(tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an engine that never answers
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        options = {"project": "p", "stack": "s", "engine_address": address, "monitor_address": address}
        work = {"program": str(tmp_path), "args": [], "threads": 4, "options": options}
        process = subprocess.Popen([sys.executable, child.__file__, json.dumps(work)], stdin=subprocess.PIPE)
        assert process.stdin is not None
        silent.settimeout(30)
        connection, _ = silent.accept()  # the program is under way
        with connection:
            assert process.poll() is None
            process.stdin.close()
            assert process.wait(timeout=30) == child.REPORTED
