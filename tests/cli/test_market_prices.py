"""`cpx market`: what is published of prices, as tables, as JSON, as a picture, and live."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.slow  # a live exchange, or a market day

FAMILY = "A910B/gansu-qingyang/L10/grid"
BOOK = f"{FAMILY}/20261123T18"  # 02:00 in Shanghai


def answer(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def said(result, code):
    assert result.exit_code == code, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("cpx: ")]
    return line


def bought(cpx, cards="4", name="b-1", book=BOOK):
    result = cpx("anna", "buy", cards, "--instrument", book, "--cap", "5.20", "--id", name, "--yes")
    assert result.exit_code == 0, result.output


def test_a_curve_has_a_price_for_every_hour_that_is_offered(look, tmp_path):
    found = answer(look("reader", "market", "curve", FAMILY, "--json"))["curve"]
    assert found["family"] == FAMILY and [point["price"] for point in found["items"]] == ["5.20"] * 6
    assert {point["source"] for point in found["items"]} == {"ask"} and found["items"][0]["instrument"] == BOOK
    told = look("reader", "market", "curve", FAMILY, "--plot", "curve.png")
    assert told.exit_code == 0 and "5.20" in told.stdout and "ask" in told.stdout, told.output
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG") and "drawn: curve.png" in told.stderr
    assert "next: ./cpx book" in told.stderr
    nothing = look("reader", "market", "curve", "H800/hubei-wuhan/L5/grid")
    assert nothing.exit_code == 0 and "no hour" in nothing.stderr
    assert "not listed" in said(look("reader", "market", "curve", "H800/hubei-wuhan/L1/grid"), 66)


def test_a_picture_never_replaces_what_is_none(look, tmp_path):
    (tmp_path / "mine.png").write_text("no picture")
    assert "is kept" in said(look("reader", "market", "curve", FAMILY, "--plot", "mine.png"), 73)
    assert ".png" in said(look("reader", "market", "curve", FAMILY, "--plot", "mine.jpg"), 2)
    assert "nothing to draw" in said(look("reader", "market", "candles", "--chip", "H800", "--plot", "a.png"), 66)


def test_trades_make_candles_and_the_prices_of_their_hour(cpx, tmp_path):
    bought(cpx)
    found = answer(cpx("reader", "market", "candles", "5m", "--family", FAMILY, "--json"))["items"]
    (candle,) = found
    assert (candle["open"], candle["close"], candle["vwap"], candle["card_hours"], candle["trades"]) == (
        "5.20", "5.20", "5.20", "4", 1,
    )  # fmt: skip
    assert not candle["is_final"]
    for interval, of in (("1m", ("--instrument", BOOK)), ("1d", ("--chip", "A910B")), ("15m", ("--family", FAMILY))):
        result = cpx("reader", "market", "candles", interval, *of, "--plot", f"{interval}.png")
        assert result.exit_code == 0 and "5.20" in result.stdout, result.output
        assert (tmp_path / f"{interval}.png").read_bytes().startswith(b"\x89PNG")
    region = ("--chip", "A910B", "--region", "hubei-wuhan")
    assert answer(cpx("reader", "market", "candles", *region, "--json"))["items"] == []
    prices = answer(cpx("reader", "market", "prices", FAMILY, "--json"))["prices"]
    first = prices["prices"][0]
    assert (first["instrument"], first["last"], first["vwap"], first["ask"], first["ask_cards"]) == (
        BOOK, "5.20", "5.20", "5.20", "60",
    )  # fmt: skip
    table = cpx("reader", "market", "prices", BOOK)
    assert table.exit_code == 0 and "5.20" in table.stdout and "next: ./cpx market candles" in table.stderr, table.output
    assert answer(cpx("reader", "market", "curve", FAMILY, "--json"))["curve"]["items"][0]["source"] == "trades"


def test_an_index_stands_when_the_fixes_do(cpx, world):
    bought(cpx)
    empty = cpx("reader", "market", "indices", "A910B")
    assert empty.exit_code == 0 and "no hour has a fix here yet" in empty.stderr
    from clients import Client

    with Client(url=world[0], key=world[1][""]) as operator:
        operator.call("set_fix", instrument=BOOK, price="5.10", grade="B", inputs_hash="00")
    for of in (("A910B",), ("A910B", "--region", "gansu-qingyang"), ("A910B", "--hour", "2026-11-24T02:00:00+08:00")):
        (point,) = answer(cpx("reader", "market", "indices", *of, "--json"))["items"]
        assert (point["price"], point["grade"], point["instruments"], point["card_hours"]) == ("5.10", "B", 1, "4")
    other = cpx("reader", "market", "indices", "A910B", "--hour", "2026-11-24T03:00:00+08:00")
    assert other.exit_code == 0 and "that hour has no fix here" in other.stderr
    hint = cpx("reader", "market", "curve", FAMILY).stderr
    assert "next: ./cpx book" in hint and BOOK not in hint  # what has its fix is closed, or about to
    (point,) = answer(cpx("reader", "market", "indices", "--json"))["items"]
    assert point["price"] is None and float(point["per_pflops_hour"]) > 5
    table = cpx("reader", "market", "indices", "A910B")
    assert "5.10" in table.stdout and "B" in table.stdout
    assert "no hour" in cpx("reader", "market", "indices", "A910B", "--region", "hubei-wuhan").stderr


def test_what_cannot_be_asked_is_said_in_one_line(look):
    assert "one thing" in said(look("reader", "market", "candles"), 2)
    assert "one thing" in said(look("reader", "market", "candles", "--chip", "A910B", "--family", FAMILY), 2)
    assert "none of 1m" in said(look("reader", "market", "candles", "2h", "--chip", "A910B"), 65)
    assert "not in the catalogue" in said(look("reader", "market", "candles", "--chip", "B200"), 66)
    assert "region goes with a chip" in said(look("reader", "market", "candles", "--family", FAMILY, "--region", "x"), 65)
    assert "not listed" in said(look("reader", "market", "prices", "A910B/nowhere/L10/grid"), 66)
    assert "not in the catalogue" in said(look("reader", "market", "indices", "A910B", "--region", "nowhere"), 66)
    assert "no time" in said(look("reader", "market", "candles", "--chip", "A910B", "--from", "soon"), 2)
    assert "not both" in said(look("reader", "market", "curve", FAMILY, "--watch", "--plot", "a.png"), 2)
