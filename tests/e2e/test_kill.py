"""kill -9 in the middle of a run, then --resume: as if nothing had happened."""

import random
import time

import pytest


@pytest.mark.parametrize("wanted", [pytest.param(10, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.soak)])
def test_a_run_killed_at_random_moments_ends_with_the_same_hash(cpx, start_cpx, small_demo, summary_of, tmp_path, wanted):
    seed = random.SystemRandom().randrange(1 << 32)
    draw = random.Random(seed)
    folder = tmp_path / "killed"
    kills = 0
    for attempt in range(6 * wanted):
        arguments = ("demo", "--out", folder, "--tasks", 300, *(("--resume",) if attempt else ()))
        process = start_cpx(*arguments)
        deadline = time.monotonic() + 0.3 + draw.random() * 1.5
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if process.poll() is not None:
            assert process.returncode == 0, process.stderr.read().decode()
            if kills >= wanted:
                break
            # it got through before the moment came: begin a new run in a new folder and go on killing
            folder = tmp_path / f"killed-{attempt}"
            continue
        process.kill()
        process.wait()
        kills += 1
        if kills >= wanted:
            break
    assert kills >= wanted, f"seed {seed}: only {kills} kills"
    done = cpx("demo", "--out", folder, "--tasks", 300, "--resume")
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    assert summary_of(folder)["state_hash"] == summary_of(small_demo)["state_hash"], f"seed {seed}"
    assert (folder / "trades.csv").read_bytes() == (small_demo / "trades.csv").read_bytes(), f"seed {seed}"
    assert cpx("verify", folder).returncode == 0
