"""Where address and key come from, what time the venue has, and how fast frames may follow one another."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients import Client, ConfigError
from clients.clock import VenueClock
from clients.feed import socket_url
from clients.model import read_model
from clients.models import Venue
from clients.pace import Pace
from clients.session import checked_url, is_this_machine
from clients.settings import find_access


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("CPX_URL", raising=False)
    monkeypatch.delenv("CPX_KEY", raising=False)
    (tmp_path / "cpx").mkdir()
    return tmp_path / "cpx" / "client.toml"


def test_arguments_come_before_the_environment_and_that_before_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text('url = "http://file:1"\nkey = "of file"\n')
    assert find_access() == ("http://file:1", "of file")
    monkeypatch.setenv("CPX_URL", "http://env:1")
    monkeypatch.setenv("CPX_KEY", "of env")
    assert find_access() == ("http://env:1", "of env")
    assert find_access("http://arg:1", "of arg") == ("http://arg:1", "of arg")


def test_a_stored_key_goes_to_the_stored_address_only(home: Path) -> None:
    home.write_text('url = "http://mine:1/"\nkey = "secret"\n')
    assert find_access("http://mine:1").key == "secret"
    assert find_access("http://elsewhere:1").key == ""


def test_a_key_may_stand_in_a_file_of_its_own(home: Path) -> None:
    (home.parent / "k").write_text("from file\n")
    home.write_text(f'url = "http://mine:1"\nkey_file = "{home.parent / "k"}"\n')
    assert find_access().key == "from file"
    (home.parent / "k").unlink()
    with pytest.raises(ConfigError, match="key_file"):
        find_access()


@pytest.mark.parametrize("text", ["url = ", "url = 5", '[url]\na = "b"'])
def test_a_damaged_file_is_named(home: Path, text: str) -> None:
    home.write_text(text)
    with pytest.raises(ConfigError, match="client.toml"):
        find_access()


def test_without_an_address_the_error_says_what_to_set(home: Path) -> None:
    with pytest.raises(ConfigError, match="CPX_URL"):
        Client()


@pytest.mark.parametrize("url", ["localhost:8787", "ftp://x", "http://", ""])
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="http://HOST:PORT"):
        checked_url(url)


def test_the_socket_is_at_the_same_address() -> None:
    assert socket_url("http://a:1/") == "ws://a:1/v1/stream" and socket_url("https://a/x") == "wss://a/x/v1/stream"
    assert is_this_machine("http://127.0.0.1:1") and is_this_machine("http://[::1]:1") and not is_this_machine("http://a:1")


def venue(clock: str, speed: str, ts_ns: int) -> Venue:
    texts = dict.fromkeys(("tick", "lot", "fee_standard", "fee_economy", "fee_emergency"), "0")
    counts = "period_min gate_min horizon_periods release_min dispute_min epoch seq families tariff_version"
    numbers = dict.fromkeys(counts.split(), 0)
    raw = {
        **texts, **numbers, "name": "x", "time_zone": "Asia/Shanghai", "unit": "", "clock": clock, "speed": speed,
        "ts": "2026-11-24T00:00:00Z", "ts_ns": str(ts_ns),
    }  # fmt: skip
    return read_model(Venue, raw)


@pytest.mark.parametrize(("clock", "speed", "after"), [("system", "1", 5), ("compressed", "60", 300), ("manual", "1", 0)])
def test_the_venue_s_time_goes_on_as_its_clock_does(clock: str, speed: str, after: int) -> None:
    local = [1_000]
    time = VenueClock(lambda: local[0])
    time.learn(venue(clock, speed, 10**18))
    local[0] += 5 * 10**9
    assert time.now.now_ns == 10**18 + after * 10**9
    time.hear(2 * 10**18)
    time.hear(10**18)  # older news
    assert time.now.now_ns == 2 * 10**18
    local[0] += 5 * 10**9
    assert time.at_ns(local[0] - 5 * 10**9) == 2 * 10**18 and time.stands_still == (after == 0)


def test_frames_wait_once_the_burst_is_used() -> None:
    pace = Pace()
    assert pace.wait_s() == 0  # nothing was said yet
    pace.allow(rate=10, burst=10)
    waits = [pace.wait_s() for _ in range(20)]
    assert waits[:9] == [0] * 9 and 0 < waits[10] < waits[19] <= 1.2
