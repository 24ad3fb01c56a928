"""runc, minus the capabilities this machine's bounding set lacks. Runs on every container start and exec.

Stands alone: it is copied out of the repository with an interpreter line in front (see capabilities.py)
and imports nothing but the standard library.
"""

import json
import os
import sys

NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
    "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
    "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
    "PERFMON BPF CHECKPOINT_RESTORE"
).split()  # in the kernel's order: the index is the bit


def allowed(mask):  # type: ignore[no-untyped-def]
    """Names of the capabilities in a bounding-set mask."""
    return {"CAP_" + name for bit, name in enumerate(NAMES) if mask >> bit & 1}


def strip(process, names):  # type: ignore[no-untyped-def]
    """Remove from an OCI process object, in place, each capability not in `names`; True when any was."""
    changed = False
    for kind, wanted in (process.get("capabilities") or {}).items():
        kept = [name for name in wanted or () if name in names]
        if len(kept) != len(wanted or ()):
            process["capabilities"][kind] = kept
            changed = True
    return changed


def specification(argv):  # type: ignore[no-untyped-def]
    """(file, key) of the process object in a runc command line; file is None when there is none."""
    command = next((word for word in argv if word in ("create", "run", "restore", "exec")), None)
    if command is None:
        return None, None
    flags = ("--process", "-p") if command == "exec" else ("--bundle", "-b")
    value = None if command == "exec" else "."
    after = argv[argv.index(command) + 1 :]
    for index, word in enumerate(after):
        name, equals, rest = word.partition("=")
        if name in flags:
            value = rest if equals else after[index + 1]
            break
    if value is None:
        return None, None
    return (value, None) if command == "exec" else (os.path.join(value, "config.json"), "process")  # noqa: PTH118


def main():  # type: ignore[no-untyped-def]
    path, key = specification(sys.argv[1:])
    if path is not None:
        with open("/proc/self/status") as status:  # noqa: PTH123
            mask = next(int(line.split()[1], 16) for line in status if line.startswith("CapBnd:"))
        with open(path) as file:  # noqa: PTH123
            document = json.load(file)
        if strip(document[key] if key else document, allowed(mask)):
            with open(path, "w") as file:  # noqa: PTH123
                json.dump(document, file)
    os.execvp("runc", ["runc", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
