"""`cpx bench gateway` gives its figures; how large they are is nothing that a test on a shared machine can say."""

import json

import pytest

RUNS = ("echo", "orders", "validate", "place")


@pytest.mark.slow
def test_the_bench_of_the_doors_gives_every_figure(cpx):
    done = cpx("bench", "gateway", "--count", "1000", "--rounds", "1", "--json", timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["bench"], told["count"], told["rounds"]) == ("gateway", 1000, 1)
    for name in RUNS:
        assert told[f"{name}_per_s"] > 0
        assert 0 < told[f"{name}_p50_us"] <= told[f"{name}_p99_us"], name
    for ratio, (above, below) in {"orders_by_echo": RUNS[1::-1], "place_by_validate": RUNS[:1:-1]}.items():
        assert told[ratio] > 0
        assert told[ratio] == pytest.approx(told[f"{above}_per_s"] / told[f"{below}_per_s"], rel=0.02, abs=0.002)
    assert 0 < told["fsync_p50_us"] <= told["fsync_p99_us"]
