"""A command in short turns is the command."""

from __future__ import annotations

import os
import subprocess
import sys

from bench.slices import in_short_turns


def test_the_command_has_its_arguments_its_number_and_the_order_it_had() -> None:
    told = "import os, sys; print(os.getpid(), os.nice(0), os.sched_getscheduler(0), sys.argv[1:])"
    argv = in_short_turns(["nice", "-n", "3", sys.executable, "-c", told, "a b", "c"])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate(timeout=30)
    nice = min(os.nice(0) + 3, 19)
    assert said == f"{process.pid} {nice} {os.sched_getscheduler(0)} ['a b', 'c']\n"
