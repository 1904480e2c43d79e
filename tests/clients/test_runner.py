"""The local runner: what runs, with which limits, what is left of it, and what its buyer is told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from provider import wait_for

from clients.runner import MAX_OUTPUT, NOT_ALLOWED, NOT_FOUND, LocalProcess, LocalRunner, NotRunnable

PYTHON = sys.executable


def ran(work: str, *, stop_after_s: float | None = None, **limits: object) -> tuple[int, str]:
    """(exit code, output) of a work."""
    return asyncio.run(_ran(LocalRunner(None, **limits), work, stop_after_s))  # type: ignore[arg-type]


async def _ran(runner: LocalRunner, work: str, stop_after_s: float | None) -> tuple[int, str]:
    process = await runner.start("7", work, {"CPX_LEASE": "7"})
    if stop_after_s is None:
        return await process.wait(), process.output()
    await asyncio.sleep(stop_after_s)
    return await process.stop(), process.output()


def alive(mark: str) -> list[str]:
    """Processes with this in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if mark in words and path.parent.name != str(os.getpid()):
            found.append(words)
    return found


def test_a_command_runs_and_its_output_and_exit_code_come_back() -> None:
    assert ran(f"{PYTHON} -c 'print(6*7)'") == (0, "42\n")
    assert ran("sh -c 'echo bad >&2; exit 3'") == (3, "bad\n")
    assert ran("sh -c 'kill -TERM $$'")[0] == -signal.SIGTERM


def test_it_sees_its_lease_and_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPX_KEY", "secret-of-ours")
    _, output = ran("env")
    names = {line.partition("=")[0] for line in output.splitlines()}
    assert "secret-of-ours" not in output and {"CPX_LEASE", "PATH", "HOME"} <= names <= {"CPX_LEASE", "PATH", "HOME", "LANG"}


def test_its_folder_is_its_own_and_goes_with_it(tmp_path: Path) -> None:
    _, output = ran("sh -c 'touch made; pwd'", folder=tmp_path)
    assert Path(output.strip()).parent == tmp_path and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("work", "code"), [
    ("python3 'x", NOT_ALLOWED), ("", NOT_ALLOWED), ("sh -c true", NOT_ALLOWED), ("/bin/python3 -c 1", NOT_ALLOWED),
    ("cpx-no-such-program", NOT_FOUND),
])  # fmt: skip
def test_what_cannot_be_read_is_not_allowed_or_not_here_has_a_shells_exit_code(work: str, code: int) -> None:
    with pytest.raises(NotRunnable) as no:
        LocalRunner(("python3", "cpx-no-such-program")).arguments(work)
    assert no.value.exit_code == code


def test_no_shell_reads_the_work() -> None:
    assert ran("echo $HOME '*' ; true")[1] == "$HOME * ; true\n"


def test_memory_of_one_process_is_limited() -> None:
    code, output = ran(f"{PYTHON} -c 'x = bytearray(300 << 20)'", memory_mb=128)
    assert code == 1 and "MemoryError" in output


def test_memory_of_all_that_it_starts_is_limited_together() -> None:
    work = "import os, time; [os.fork() for _ in range(3)]; x = bytearray(40 << 20); time.sleep(60)"
    code, output = ran(f"{PYTHON} -c '{work}'", memory_mb=128)
    assert code == -signal.SIGKILL and "more than 128 MB" in output


def test_processes_are_limited() -> None:
    work = "import os, time\nfor _ in range(40):\n if not os.fork(): time.sleep(60)\ntime.sleep(60)"
    code, output = ran(f"{PYTHON} -c '{work}'", processes=20)
    assert code == -signal.SIGKILL and "more than 20 processes" in output


@pytest.mark.slow
def test_a_stop_is_asked_for_and_then_made() -> None:
    began = time.monotonic()
    assert ran("sleep 1000", stop_after_s=0.2)[0] == -signal.SIGTERM
    assert time.monotonic() - began < 5
    code, output = ran("sh -c 'trap \"echo no\" TERM; while :; do sleep 0.1; done'", stop_after_s=0.3, stop_within_s=0.5)
    assert code == -signal.SIGKILL and output.endswith("no\n")


def test_nothing_that_it_has_started_outlives_it() -> None:
    mark = f"9{os.getpid()}.25"
    ran(f"sh -c 'setsid sleep {mark} & (sleep {mark} &) ; sleep {mark} & echo left'")
    assert not alive(mark)


def test_nothing_outlives_an_agent_that_is_killed(tmp_path: Path) -> None:
    mark = f"8{os.getpid()}.25"
    program = (
        "import asyncio\nfrom clients.runner import LocalRunner\n"
        f"async def go():\n await LocalRunner(None).start('7', \"sh -c 'setsid sleep {mark} & sleep {mark}'\", {{}})\n"
        " await asyncio.sleep(60)\nasyncio.run(go())\n"
    )
    parent = subprocess.Popen([PYTHON, "-c", program], env={**os.environ, "TMPDIR": str(tmp_path)})
    wait_for(lambda: [words for words in alive(mark) if words.startswith("sleep")])
    parent.kill()
    parent.wait()
    wait_for(lambda: not alive(mark))


@pytest.mark.slow
def test_of_a_flood_the_end_is_kept_and_the_agent_goes_on() -> None:
    async def flooded() -> tuple[str, float]:
        process = await LocalRunner(None).start("7", "yes abcdefg", {})
        worst = 0.0
        for _ in range(100):
            began = time.monotonic()
            await asyncio.sleep(0.01)
            worst = max(worst, time.monotonic() - began)
        await process.stop()
        return process.output(), worst

    output, worst = asyncio.run(flooded())
    assert len(output) == MAX_OUTPUT and output.endswith("abcdefg\n")
    assert worst < 0.5


def test_output_has_no_colours_or_controls() -> None:
    code, output = ran("printf '\\033[31mred\\033[0m\\a\\r\\tok\\377\\n'")
    assert (code, output) == (0, "red\tok�\n")


def test_four_byte_letters_fill_a_result_whole() -> None:
    _, output = ran(f"{PYTHON} -c 'print(chr(0x1F600) * 20000)'")
    assert len(output) == MAX_OUTPUT and set(output) == {chr(0x1F600), "\n"}


def test_a_guard_that_is_killed_takes_the_work_with_it() -> None:
    async def killed() -> int:
        process: LocalProcess = await LocalRunner(None).start("7", "sleep 1000", {})
        await asyncio.sleep(0.3)
        os.kill(process.pid, signal.SIGKILL)
        return await process.wait()

    assert asyncio.run(killed()) == -signal.SIGKILL
