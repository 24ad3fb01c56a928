"""runc, minus the capabilities this machine's bounding set lacks. Runs on every container start and exec.

Stands alone: it is copied out of the repository with an interpreter line in front (see capabilities.py),
imports nothing but the standard library, and as little of that as it can.
"""

import json
import os
import sys

# In the kernel's order: the index is the bit.
NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE
"""


def allowed(mask: int) -> set[str]:
    """Names of the capabilities in a bounding-set mask."""
    return {"CAP_" + name for bit, name in enumerate(NAMES.split()) if mask >> bit & 1}


def strip(process: dict, names: set[str]) -> bool:  # type: ignore[type-arg]
    """Remove from an OCI process object, in place, each capability not in `names`; True when any was."""
    changed = False
    for kind, wanted in (process.get("capabilities") or {}).items():
        kept = [name for name in wanted or () if name in names]
        if len(kept) != len(wanted or ()):
            process["capabilities"][kind] = kept
            changed = True
    return changed


def specification(argv: list[str]) -> tuple[str, bool] | None:
    """(file, whether the process object is below the key `process` in it) of a runc command line, or None."""
    command = next((word for word in argv if word in {"create", "run", "restore", "exec"}), None)
    if command is None:
        return None
    flags = ("--process", "-p") if command == "exec" else ("--bundle", "-b")
    value = "" if command == "exec" else "."
    after = argv[argv.index(command) + 1 :]
    for index, word in enumerate(after):
        name, equals, rest = word.partition("=")
        if name in flags:
            value = rest if equals else after[index + 1]
            break
    if command == "exec":
        return (value, False) if value else None  # a command given on the line inherits stripped capabilities
    return f"{value}/config.json", True


def main() -> None:
    found = specification(sys.argv[1:])
    if found is not None:
        path, nested = found
        with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib would cost ten milliseconds
            mask = next(int(line.split()[1], 16) for line in status if line.startswith("CapBnd:"))
        with open(path) as file:  # noqa: PTH123
            document = json.load(file)
        if strip(document["process"] if nested else document, allowed(mask)):
            with open(path, "w") as file:  # noqa: PTH123
                json.dump(document, file)
    os.execvp("runc", ["runc", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
