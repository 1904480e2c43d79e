"""`cpx verify` verifies the signatures of readings again: a forged one in a sound journal is named."""

from __future__ import annotations

import json

import pytest
from street import T0, Street
from typer.testing import CliRunner

from clients.meters import MeterKey
from exchange.app import open_folder
from exchange.cli.verify import command
from exchange.domain import commands as c
from exchange.domain.commands_delivery import SetMeter
from exchange.domain.units import NS_PER_HOUR

HOUR = T0 + 5 * NS_PER_HOUR
CODE = "H800/wuhan/L5/grid/20261123T05"


@pytest.mark.parametrize("is_forged", [False, True])
def test_every_signature_is_verified_by_the_keys_that_the_meter_has_had(tmp_path, is_forged):
    old, new, other = MeterKey(), MeterKey(), MeterKey()

    def reading(meter: MeterKey, number: int) -> c.SubmitReading:
        return c.SubmitReading("P1", due, number, 10, meter.sign("g1", due, number=number, delivered_cards=10, lot=1))

    street = Street()
    street.do(c.PlaceOffer("P1", "o1", "g1", "H800", "L5", "grid", 10, HOUR, HOUR + NS_PER_HOUR, 8_000_000))
    street.do(c.PlaceOrder("B1", "b1", CODE, "buy", 8_000_000, 10))
    due = min(street.venue.state.obligations)
    for each in (
        SetMeter("P1", "g1", old.public_key, 0), c.AdvanceTime(HOUR + 1), reading(old, 1),
        SetMeter("P1", "g1", new.public_key, 0), reading(old, 2),  # was at the door before the new key
        reading(other if is_forged else new, 3),
    ):  # fmt: skip
        street.do(each)
    run = open_folder(tmp_path)
    run.submit(street.log)
    run.close()
    found = json.loads(CliRunner().invoke(command, [str(tmp_path), "--json"]).stdout)
    assert (found["exit_code"], found["signatures_verified"]) == ((65, 2) if is_forged else (0, 3))
    assert ("not that of the meter of g1" in found["verdict"]) == is_forged
