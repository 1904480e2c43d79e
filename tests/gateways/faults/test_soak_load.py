"""Trading at a share of the capacity with churn: no error, the replay gives the state that was served, memory is weighed."""

import os

import pytest

from clients import Client
from exchange.cli.soak_load import (
    FOLLOWERS,
    TRADERS,
    is_fine,
    is_flat,
    medians_of,
    open_market,
    replayed,
    resident_bytes,
    run,
)
from exchange.testing.server import running_server

SEED = int(os.environ.get("CPX_SEED", "7"))


@pytest.mark.slow
def test_some_seconds_of_load_end_without_error_and_with_equal_hashes():
    lines = []
    found = run(0.3, SEED, warm_up_s=5, show=lines.append)
    assert found["errors"] == {} and found["exit_code"] == 0, found
    assert found["are_hashes_equal"] and found["replayed_hash"] == found["told_hash"] != ""
    assert found["replayed"] >= found["commands"] > 1_000 and found["trades"] > 5
    assert 0.4 < found["share"] < 1, "the load is paced below the capacity"
    assert found["connections"] > 1.5 * (TRADERS + FOLLOWERS), "clients come and go"
    assert found["followed_messages"] > 500 and found["rss_readings"] > 5 and found["rss_mb"][0] > 50 < found["rss_peak_mb"]
    assert any("70% of it" in line for line in lines)


@pytest.mark.soak
def test_half_an_hour_of_load_is_fine():
    found = run(float(os.environ.get("CPX_SOAK_MINUTES", "30")), SEED)
    assert found["is_fine"], found


@pytest.mark.slow
def test_another_state_than_was_served_is_seen(tmp_path):
    folder = tmp_path / "data"
    with running_server(folder, "--clock", "system") as server:
        market = open_market(server)
        assert len(market.keys) == TRADERS and resident_bytes(server.pid)[0] > 20_000_000
        with Client(server.url, server.operator_key) as operator:
            state = operator.state()
    assert replayed(folder, state.seq, state.state_hash)["are_hashes_equal"]
    assert not replayed(folder, state.seq - 1, state.state_hash)["are_hashes_equal"]
    assert not replayed(folder, state.seq, "0" * 16)["are_hashes_equal"]


@pytest.mark.parametrize(
    "worse", [{}, {"share": 0.57}, {"errors": {"x": 1}}, {"is_flat": False}, {"are_hashes_equal": False}, {"exit_code": 70}]
)
def test_everything_counts_and_so_does_a_load_that_was_not_held(worse):
    good = {"share": 0.69, "errors": {}, "is_flat": True, "are_hashes_equal": True, "exit_code": 0}
    assert is_fine(good | worse) is not bool(worse)


def test_the_medians_of_whole_windows_count():
    readings = [(10 + second, 100 + second // 10 + 900 * (second % 7 == 0)) for second in range(65)]
    assert medians_of(readings, 20) == [101, 103, 105], "outliers do not move them, and half a window does not count"
    assert medians_of(readings[:3], 20) == [100]


def test_memory_is_flat_within_five_percent_of_its_median():
    assert is_flat([100, 102, 98, 105, 95]) == (True, 0.05)
    assert is_flat([100, 100, 100, 106])[0] is False
    assert is_flat([100, 94, 100])[0] is False
    assert is_flat([90 + number for number in range(21)])[0] is False, "a slow leak is seen at its ends"
