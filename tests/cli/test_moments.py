"""Times as people type them, against the venue's clock; and as they are shown."""

from datetime import datetime

import pytest
import typer

from exchange.cli.moments import day, distance, moment, shown, venue_time

NOW = datetime.fromisoformat("2026-11-24T15:30:10+08:00")
AT = venue_time(int(NOW.timestamp()) * 10**9 + 5, "Asia/Shanghai")


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("now", "2026-11-24T15:30:10+08:00"),
        ("+2d", "2026-11-26T15:30:10+08:00"),
        ("+1h30m", "2026-11-24T17:00:10+08:00"),
        ("22:00", "2026-11-24T22:00:00+08:00"),
        ("06:00", "2026-11-25T06:00:00+08:00"),
        ("tomorrow", "2026-11-25T00:00:00+08:00"),
        ("2026-11-30", "2026-11-30T00:00:00+08:00"),
        ("2026-11-30T08:00", "2026-11-30T08:00:00+08:00"),
        ("2026-11-30T08:00:00Z", "2026-11-30T16:00:00+08:00"),
    ],
)
def test_a_time_is_counted_from_the_venues_clock(text, means):
    assert moment(text, AT, "--deadline") == datetime.fromisoformat(means)


def test_a_time_of_day_comes_after_the_start_it_belongs_to():
    start = moment("22:00", AT, "--from")
    assert moment("06:00", AT, "--to", after=start) == datetime.fromisoformat("2026-11-25T06:00:00+08:00")
    assert moment("22:00", AT, "--to", after=start) == datetime.fromisoformat("2026-11-25T22:00:00+08:00")


FAR = ["9999-12-31T23:59:59-05:00", "0001-01-01", "0001-01-01T00:00:00+08:00"]


@pytest.mark.parametrize("text", ["", "soon", "+d", "25:00", "2026-13-01", "+999999d", "+1h2d", "-2d", "٣:00", *FAR])
def test_what_is_no_time_ends_with_code_2_and_an_example(text, capsys):
    with pytest.raises(typer.Exit) as end:
        moment(text, AT, "--deadline")
    assert end.value.exit_code == 2
    said = capsys.readouterr().err
    assert said.startswith("cpx: --deadline") and said.count("\n") == 1


def test_days():
    assert [day(text, AT, "DAY").isoformat() for text in ("yesterday", "today", "tomorrow", "2026-01-31")] == [
        "2026-11-23", "2026-11-24", "2026-11-25", "2026-01-31",
    ]  # fmt: skip
    with pytest.raises(typer.Exit):
        day("2026-02-30", AT, "DAY")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "now"), (59, "now"), (60, "in 1 min"), (-3 * 3600, "3 h ago"), (47 * 3600, "in 47 h"), (49 * 3600, "in 2 days")],
)
def test_how_far_a_time_is(seconds, words):
    assert distance(datetime.fromtimestamp(NOW.timestamp() + seconds, NOW.tzinfo), NOW) == words


def test_a_time_of_the_server_is_shown_in_the_venues_zone():
    assert shown("2026-11-24T12:00:00Z", AT) == "11-24 20:00 (in 4 h)"
    assert shown(None, AT) == ""


def test_a_zone_that_this_machine_does_not_know_is_utc():
    assert moment("22:00", venue_time(0, "Mars/Olympus"), "--from").isoformat() == "1970-01-01T22:00:00+00:00"
