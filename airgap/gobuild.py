"""Building Go programs into the cache: once per recipe, safe to interrupt, with progress."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from airgap.leftovers import PREFIX
from airgap.programs import GO_FOLDER, Program
from airgap.report import Report, SupplyError
from airgap.run import run_logged

STAMP = "recipe"  # file beside the executable: what it was built from
OLDEST_GO = (1, 21)
"""From this version on Go fetches, from the module proxy, the newer toolchain that a module asks for."""
PROXY_HINT = (
    "Check that the Go module proxy can be reached (`go env GOPROXY`), and run again: "
    "packages that are compiled already are kept."
)


def program_path(cache: Path, program: Program) -> Path:
    """Where a built program is, whether it is there or not."""
    return cache / "tools" / f"{program.name}-{program.version}" / program.name


def is_built(cache: Path, program: Program) -> bool:
    """Whether the program is in the cache, built from today's recipe."""
    path = program_path(cache, program)
    stamp = path.with_name(STAMP)
    return path.exists() and stamp.exists() and stamp.read_text() == program.recipe


def ensure_programs(cache: Path, wanted: Iterable[Program], report: Report) -> dict[str, Path]:
    """Build what is missing, one Go call per module, and return every program's path by name."""
    programs = list(wanted)
    missing = [program for program in programs if not is_built(cache, program)]
    by_module: dict[str, list[Program]] = {}
    for program in missing:
        by_module.setdefault(program.module, []).append(program)
    for module, group in by_module.items():
        _build(cache, module, group, report)
    return {program.name: program_path(cache, program) for program in programs}


def build_argv(go: str, programs: Sequence[Program], output: Path, options: Sequence[str] = ()) -> list[str]:
    """One `go build` for programs of one module. Each flag names one program's variable, so all get all."""
    flags = dict.fromkeys(flag for program in programs for flag in program.flags)
    return [
        go,
        "build",
        "-v",  # prints each package as it is compiled: the progress
        "-trimpath",
        "-buildvcs=false",
        "-mod=readonly",
        "-tags=stablecomponents",  # daprd panics without a set of components chosen
        f"-ldflags=-s -w {' '.join(flags)}".rstrip(),
        *options,
        "-o",
        f"{output}/",
        *(program.package for program in programs),
    ]


def _build(cache: Path, module: str, group: Sequence[Program], report: Report) -> None:
    go = shutil.which("go")
    if go is None:
        raise SupplyError(no_go(group))
    folder = GO_FOLDER / module
    ours = {"GOFLAGS": "", "GOOS": "", "GOARCH": "", "CGO_ENABLED": "0"}  # empty means Go's own default
    environment = os.environ | ours
    tools = cache / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    with (
        report.step(f"Building {_names(group)}") as step,
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=tools) as building,
    ):
        step.update("looking at the packages")
        options = _overlay(go, group, folder, environment, Path(building) / "overlay.json")
        run_logged(
            build_argv(go, group, Path(building), options),
            log=cache / "logs" / f"go-{module}.log",
            step=step,
            cwd=folder,
            env=environment,
            hint=PROXY_HINT,
            progress=_progress(_count_packages(go, group, folder, environment, options)),
        )
        for program in group:
            _install(Path(building) / program.name, cache, program)


def _overlay(
    go: str, group: Sequence[Program], folder: Path, environment: dict[str, str], file: Path
) -> list[str]:
    """The option that lays files of other modules beside our mains, where an embed reaches them."""
    replace = {}
    for program in group:
        for name, (module, path) in program.embeds.items():
            argv = [go, "mod", "download", "-json", module]
            done = subprocess.run(
                argv, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SupplyError(
                    f"{' '.join(argv[:3])} {module} failed: {done.stderr or done.stdout}\n{PROXY_HINT}"
                )
            replace[str(folder / program.package / name)] = f"{json.loads(done.stdout)['Dir']}/{path}"
    if not replace:
        return []
    file.write_text(json.dumps({"Replace": replace}))
    return [f"-overlay={file}"]


def no_go(programs: Sequence[Program]) -> str:
    """The message for programs that must be built where there is no Go."""
    return (
        f"Go is needed to build {_names(programs)}, and no `go` is on PATH: these programs cannot be "
        "downloaded here, and are built from the Go module proxy. Install Go "
        f"{'.'.join(map(str, OLDEST_GO))} or newer (go.dev/doc/install) and run again, or put the programs "
        "themselves on PATH."
    )


def _names(programs: Iterable[Program]) -> str:
    return ", ".join(f"{program.name} {program.version}" for program in programs)


def _install(built: Path, cache: Path, program: Program) -> None:
    target = program_path(cache, program)
    target.parent.mkdir(parents=True, exist_ok=True)
    stamp = target.with_name(STAMP)
    stamp.unlink(missing_ok=True)  # between the two renames there is no stamp, so a killed run builds again
    built.replace(target)
    fresh = stamp.with_suffix(".new")
    fresh.write_text(program.recipe)
    fresh.replace(stamp)


def _count_packages(
    go: str, group: Sequence[Program], folder: Path, environment: dict[str, str], options: Sequence[str]
) -> int:
    """How many packages the programs consist of; also downloads their modules. 0 when go cannot tell."""
    packages = [program.package for program in group]
    done = subprocess.run(
        [go, "list", "-deps", "-tags=stablecomponents", "-mod=readonly", *options, *packages],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return len(done.stdout.splitlines()) if done.returncode == 0 else 0


def _progress(total: int) -> Callable[[str], str | None]:
    count = 0

    def show(line: str) -> str | None:
        nonlocal count
        if line.startswith("go: downloading "):
            return line.removeprefix("go: ")
        if " " in line:
            return None  # a message of the compiler: it is in the log and, on failure, in the error
        count += 1
        return f"{count} of at most {total} packages compiled, now {line}" if total else f"compiled {line}"

    return show
