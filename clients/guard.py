"""Stands between an agent and one work that it runs: bounds memory and processes, and lets nothing of it outlive the agent.

A program of its own (`guard.py MEMORY_MB PROCESSES STOP_S PARENT PROGRAM ARGUMENT…`, started by clients.runner), so that the
limits are set without running Python between fork and exec of the agent, and so that somebody is left to clean up when the
agent is killed. SIGTERM asks the work to end and makes it after STOP_S; SIGHUP ends it at once. Linux only.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator

LOOK_EVERY_S = 0.25
GIVE_UP_S = 10.0
CANNOT_RUN = 126
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_PAGE = resource.getpagesize()


def main() -> int:
    """Runs the work of the command line; its exit code, minus the signal where it was killed."""
    memory, most, stop_s, parent = int(sys.argv[1]) << 20, int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    libc = ctypes.CDLL(None, use_errno=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)  # whatever the work starts and leaves becomes ours
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGHUP)
    if os.getppid() != parent:
        return CANNOT_RUN  # the agent has died meanwhile
    work = os.fork()
    if work == 0:
        _become(libc, sys.argv[5:], memory)
    code = _watch(work, memory, most, stop_s)
    _kill_all()
    return code


def _become(libc: ctypes.CDLL, arguments: list[str], memory: int) -> None:
    """In the child: from here on it is the work."""
    try:
        os.setpgid(0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        os.execvp(arguments[0], arguments)
    except (OSError, ValueError) as error:
        _say(f"{arguments[0]} cannot be run: {error}")
    os._exit(CANNOT_RUN)


def _watch(work: int, memory: int, most: int, stop_s: float) -> int:
    """Until the work has ended, by itself or made to."""
    ends_at: float | None = None
    looks_at = 0.0
    while True:
        told = signal.sigtimedwait(_WATCHED, LOOK_EVERY_S)
        if (code := _reaped(work)) is not None:
            return code
        if told is not None and told.si_signo == signal.SIGHUP:
            _kill_all()
        elif told is not None and told.si_signo != signal.SIGCHLD and ends_at is None:
            ends_at = time.monotonic() + stop_s
            _signal_all(signal.SIGTERM)
        now = time.monotonic()
        if ends_at is not None and now >= ends_at:
            _kill_all()
        elif now >= looks_at:
            looks_at = now + LOOK_EVERY_S
            if why := _too_much(memory, most):
                _say(why)
                _kill_all()
        if (code := _reaped(work)) is not None:
            return code


_codes: dict[int, int] = {}


def _reaped(work: int) -> int | None:
    """Takes leave of children that have ended; the code of the work where it is among them, or was."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            _codes[pid] = os.waitstatus_to_exitcode(status)
    return _codes.get(work)


def _descendants() -> Iterator[int]:
    """Every process below us."""
    parents = [os.getpid()]
    while parents:
        parent = parents.pop()
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children", encoding="ascii") as file:
                    children = [int(each) for each in file.read().split()]
                parents += children
                yield from children


def _too_much(memory: int, most: int) -> str:
    """Which limit the work and all that it has started break together."""
    count = pages = 0
    for pid in _descendants():
        count += 1
        with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/statm", encoding="ascii") as file:
            pages += int(file.read().split()[1])
    if pages * _PAGE > memory:
        return f"more than {memory >> 20} MB of memory"
    return f"more than {most} processes" if count > most else ""


def _signal_all(number: int) -> bool:
    """Sends a signal to everything below us; whether there is anything."""
    found = False
    for pid in list(_descendants()):
        with contextlib.suppress(OSError):
            os.kill(pid, number)
        found = True
    return found


def _kill_all() -> None:
    """Everything below us; what it starts meanwhile is stopped first and killed in the next round."""
    until = time.monotonic() + GIVE_UP_S
    while time.monotonic() < until:
        _signal_all(signal.SIGSTOP)
        is_any = _signal_all(signal.SIGKILL)
        _reaped(0)
        if not is_any:
            return
        time.sleep(0.002)


def _say(text: str) -> None:
    """Into the output of the work."""
    with contextlib.suppress(OSError):
        os.write(1, f"\ncpx: stopped: {text}\n".encode())


def end(code: int) -> None:
    """Ends as the work did."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


if __name__ == "__main__":
    end(main())
