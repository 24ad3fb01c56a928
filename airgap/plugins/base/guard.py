"""Child processes that must not outlive the plugin, however it ends."""

import contextlib
import subprocess
from collections.abc import Iterator

_GUARD = 'read -r _ || kill -s KILL -- "-$1"'


@contextlib.contextmanager
def guarded(leader: int) -> Iterator[None]:
    """While the block runs, the process group of `leader` is killed when this process dies.

    A process of its own waits for the end of its input: a parent-death signal would end the leader alone and
    leave running what that had started. Start the leader with `process_group=0`.
    """
    with subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "guard", str(leader)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as guard:
        try:
            yield
        finally:
            guard.communicate(b"\n")
