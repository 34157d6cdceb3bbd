"""Runs before a server or service does: ties the process to its parent, gives up root, becomes the program.

Started as a file by `python -I -S child.py OPTIONS -- PROGRAM ARGUMENTS`, so that it needs nothing but the
standard library and a few milliseconds. A `preexec_fn` would do the same in a forked copy of a process with
threads, which is not safe.
"""

import ctypes
import fcntl
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
LOCK_POLL_SECONDS = 0.02
EXIT_LOCKED = 75
EXIT_NAMESPACE_BLOCKED = 76


def main(arguments: list[str]) -> None:
    """Apply the options in front of `--`, then replace this process; exits with a code above if it cannot."""
    separator = arguments.index("--")
    options = dict(option.split("=", 1) for option in arguments[:separator])
    program = arguments[separator + 1 :]
    if "lock" in options:
        _lock(options["lock"], float(options["lock_seconds"]))
    if "namespace" in options:
        _enter_user_namespace(*_pair(options["namespace"]))
    if "user" in options:
        _become(*_pair(options["user"]))
    # Last, since a change of user clears it.
    _die_with_parent(int(options["parent"]), int(options["death_signal"]))
    os.execv(program[0], program)  # noqa: S606  # that is what it is for


def _pair(text: str) -> tuple[int, int]:
    user, group = text.split(":")
    return int(user), int(group)


def _lock(path: str, seconds_max: float) -> None:
    # The lock stays with the program and everything it forks, since the descriptor is inherited: whoever gets
    # it knows that nothing of the last start is alive, orphaned backends of PostgreSQL included.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + seconds_max
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                print(f"{path} is still held by an earlier start", file=sys.stderr)
                sys.exit(EXIT_LOCKED)
            time.sleep(LOCK_POLL_SECONDS)
    os.set_inheritable(descriptor, True)


def _enter_user_namespace(user: int, group: int) -> None:
    real_user, real_group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        print(f"no user namespace: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        sys.exit(EXIT_NAMESPACE_BLOCKED)
    try:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {real_user} 1")
        _write("/proc/self/gid_map", f"{group} {real_group} 1")
    except OSError as error:
        print(f"no user namespace: {error}", file=sys.stderr)
        sys.exit(EXIT_NAMESPACE_BLOCKED)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123  # pathlib takes longer than all the rest
        file.write(text)


def _become(user: int, group: int) -> None:
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def _die_with_parent(parent: int, death_signal: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        # It died before the kernel was asked to tell us.
        signal.raise_signal(signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
