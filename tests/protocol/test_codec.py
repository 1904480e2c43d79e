"""Every command survives its bytes, each has exactly one encoding, and other bytes are refused, never misread."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.commands import (
    COMMAND_TYPES,
    AdvanceTime,
    AmendOffer,
    AmendTask,
    CancelTask,
    Deposit,
    LoadCatalogue,
    PlaceOffer,
    PlaceOrder,
    SettlePeriod,
    SubmitReading,
    SubmitTask,
    Task,
    TaskChip,
)
from exchange.domain.events import Acknowledged, Moved
from exchange.protocol import codec
from exchange.protocol.codec import CodecError, body_hash, decode, encode, event_bytes, idem_key
from matching_core.enums import Op
from matching_core.records import Command

INT64 = st.integers(-(2**63), 2**63 - 1)
PLAIN = {
    "int": INT64,
    "str": st.text(max_size=40),
    "bool": st.booleans(),
    int: INT64,
    str: st.text(max_size=40),
    bool: st.booleans(),
}


def strategy_for(annotation):
    if annotation in PLAIN:
        return PLAIN[annotation]
    if is_dataclass(annotation):
        return commands_of(annotation)
    (item, _) = annotation.__args__
    return st.lists(strategy_for(item), max_size=3).map(tuple)


def commands_of(cls):
    return st.builds(cls, **{field.name: strategy_for(field.type) for field in fields(cls)})


TASK = Task("B1", "order-1", "gz", 20_000, (TaskChip("H800"),), 10, 4, 1_790_000_000_000_000_000, 2**62)


@pytest.mark.parametrize("number", COMMAND_TYPES)
def test_every_command_comes_back_from_its_bytes(number):
    @given(commands_of(COMMAND_TYPES[number]))
    def comes_back(command):
        encoded = encode(command)
        assert encoded.type == number
        assert decode(*encoded) == command
        assert encode(decode(*encoded)) == encoded

    comes_back()


def test_the_clock_is_a_core_record_without_a_blob():
    encoded = encode(AdvanceTime(1_790_000_000_000_000_000))
    assert encoded.blob == b""
    assert encoded.core == Command(op=Op.ADVANCE_TIME, aux=1_790_000_000_000_000_000).pack()


def test_the_format_has_not_changed_unnoticed():
    # A difference here means that journals written before can no longer be read: raise the schema number instead.
    assert encode(Deposit("P1", -1, "r")).blob.hex() == (
        "83ab7061727469636970616e74a25031ac616d6f756e745f6d6963726fffa97265666572656e6365a172"
    )
    assert encode(SubmitReading("P1", 7, 1, 300)).blob.hex() == (
        "85ab7061727469636970616e74a25031ad6f626c69676174696f6e5f696407a66e756d62657201ae64656c6976657265645f"
        "6c6f7473cd012ca97369676e6174757265a0"
    )
    assert encode(AdvanceTime(258)).core.hex() == "06" + "00" * 39 + "0201" + "00" * 22
    assert encode(SettlePeriod(2**62))[:2] == (24, 1)
    assert body_hash(encode(Deposit("P1", -1, "r"))).hex() == GOLDEN_BODY_HASH
    assert idem_key(SubmitTask(TASK)).hex() == GOLDEN_TASK_KEY


def test_readings_and_tasks_of_older_journals_are_read():
    reading = bytes.fromhex(
        "84ab7061727469636970616e74a25031ad6f626c69676174696f6e5f696407a66e756d62657201ae64656c6976657265645f6c6f7473cd012c"
    )
    assert decode(20, 1, codec.NO_CORE_RECORD, reading) == SubmitReading("P1", 7, 1, 300)
    with pytest.raises(CodecError):
        decode(20, 2, codec.NO_CORE_RECORD, reading)
    for number, old, kind in ((15, 2, SubmitTask), (26, 1, AmendTask)):
        plain = msgspec.to_builtins(kind(TASK))
        assert plain["task"].pop("work") == ""
        blob = msgspec.msgpack.encode(plain)
        assert decode(number, old, codec.NO_CORE_RECORD, blob) == kind(TASK)
        with pytest.raises(CodecError):
            decode(number, codec.SCHEMAS[number], codec.NO_CORE_RECORD, blob)


GOLDEN_BODY_HASH = "71c20d49cd251d8dd64bc2c73391bf12"
GOLDEN_TASK_KEY = "5c662df8dab1ead32be6698cf2314a79"


@pytest.mark.parametrize("wrong", [True, 1.0, "1", None, 2**63, -(2**63) - 1, 2**64, 10**30, b"1", (1,)])
def test_a_number_of_another_type_or_beyond_64_bits_is_never_written(wrong):
    with pytest.raises(CodecError):
        encode(Deposit("P1", wrong))
    with pytest.raises(CodecError):
        encode(AdvanceTime(wrong))


@pytest.mark.parametrize("wrong", [1, None, b"P1", "\ud800"])
def test_a_text_of_another_type_is_never_written(wrong):
    with pytest.raises(CodecError):
        encode(Deposit(wrong, 1))


def test_a_list_in_the_place_of_a_tuple_is_never_written():
    with pytest.raises(CodecError):
        encode(SubmitTask(replace(TASK, chips=[TaskChip("H800")])))


def test_what_is_no_command_is_never_written():
    for thing in (TASK, "AdvanceTime", None, object()):
        with pytest.raises(CodecError):
            encode(thing)


def test_a_command_above_the_size_limit_is_never_written(monkeypatch):
    monkeypatch.setattr(codec, "MAX_BLOB", 100)
    with pytest.raises(CodecError, match="at most 100"):
        encode(Deposit("P" * 100, 1))


@pytest.mark.parametrize(
    "blob",
    [
        {"participant": "P1", "amount_micro": 1},  # a default left out
        {"participant": "P1", "amount_micro": 1, "reference": "", "extra": 1},
        {"amount_micro": 1, "participant": "P1", "reference": ""},  # other order
        {"participant": "P1", "amount_micro": 2**63, "reference": ""},
        {"participant": "P1", "amount_micro": 1.0, "reference": ""},
        {"participant": "P1", "amount_micro": True, "reference": ""},
        ["P1", 1, ""],
    ],
)
def test_bytes_that_encode_would_not_have_written_are_refused(blob):
    with pytest.raises(CodecError):
        decode(7, 1, codec.NO_CORE_RECORD, msgspec.msgpack.encode(blob))


def test_a_long_form_of_a_short_number_is_refused():
    blob = encode(Deposit("P1", 1)).blob
    stretched = blob.replace(b"amount_micro\x01", b"amount_micro\xcc\x01")
    assert stretched != blob
    with pytest.raises(CodecError, match="canonical"):
        decode(7, 1, codec.NO_CORE_RECORD, stretched)


def test_an_unknown_type_or_schema_is_refused():
    blob = encode(Deposit("P1", 1)).blob
    for number, schema in ((0, 1), (25, 1), (65535, 1), (7, 0), (7, 2)):
        with pytest.raises(CodecError):
            decode(number, schema, codec.NO_CORE_RECORD, blob)


@pytest.mark.parametrize(("number", "schema"), sorted(codec.ADDED))
def test_a_command_of_an_older_release_is_read_with_the_defaults_of_what_it_did_not_know(number, schema):
    @given(commands_of(COMMAND_TYPES[number]))
    def is_read(command):
        plain = msgspec.to_builtins(command)
        for path in codec.ADDED[number, schema]:
            *parents, name = path.split(".")
            place = plain
            for parent in parents:
                place = place[parent]
            del place[name]
        blob = msgspec.msgpack.encode(plain)
        read = decode(number, schema, codec.NO_CORE_RECORD, blob)
        assert read == msgspec.convert(plain, COMMAND_TYPES[number])
        with pytest.raises(CodecError):
            decode(number, codec.SCHEMAS[number], codec.NO_CORE_RECORD, blob)
        with pytest.raises(CodecError, match="canonical"):
            decode(number, schema, codec.NO_CORE_RECORD, encode(command).blob)

    is_read()


def test_a_command_is_either_a_core_record_or_a_blob():
    clock, deposit = encode(AdvanceTime(5)), encode(Deposit("P1", 1))
    for mixed in (clock._replace(blob=b"x"), deposit._replace(core=clock.core), clock._replace(core=b"")):
        with pytest.raises(CodecError):
            decode(*mixed)
    with pytest.raises(CodecError):
        decode(1, 1, Command(op=Op.ADVANCE_TIME, aux=5, price=1).pack(), b"")


@given(st.sampled_from(sorted(COMMAND_TYPES)), st.binary(max_size=200), st.binary(min_size=64, max_size=64))
def test_arbitrary_bytes_are_a_command_or_a_codec_error(number, blob, core):
    for record in (codec.NO_CORE_RECORD, core):
        try:
            command = decode(number, 1, record, blob)
        except CodecError:
            continue
        assert encode(command)[2:] == (record, blob)


@given(st.data())
def test_a_changed_byte_gives_another_command_or_a_codec_error(data):
    encoded = encode(SubmitTask(TASK))
    position = data.draw(st.integers(0, len(encoded.blob) - 1))
    changed = bytearray(encoded.blob)
    changed[position] ^= data.draw(st.integers(1, 255))
    try:
        command = decode(encoded.type, encoded.schema, encoded.core, bytes(changed))
    except CodecError:
        return
    assert command != SubmitTask(TASK)


@pytest.mark.parametrize(
    "head", [b"\x91" * 100_000, b"\x81\xa6chips\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc1"]
)
def test_hostile_lengths_and_depths_are_refused_at_once(head):
    with pytest.raises(CodecError):
        decode(3, 1, codec.NO_CORE_RECORD, head)


def test_client_ids_make_keys_and_other_commands_have_none():
    order = PlaceOrder("B1", "order-1", "H800", "buy", 1, 1)
    offer = PlaceOffer("B1", "order-1", "s", "H800", "L5", "green", 1, 0, 1, 1)
    task = SubmitTask(TASK)
    assert idem_key(order) == idem_key(task) != codec.NO_KEY
    assert idem_key(offer) not in (idem_key(order), codec.NO_KEY)
    assert idem_key(replace(order, participant="B2")) != idem_key(order)
    assert idem_key(replace(order, client_order_id="order-2")) != idem_key(order)
    for command in (
        Deposit("B1", 1),
        CancelTask("B1", "order-1"),
        AmendOffer("B1", "order-1", 1, 1),
        AdvanceTime(1),
    ):
        assert idem_key(command) == codec.NO_KEY


def test_the_body_hash_tells_any_two_commands_apart():
    commands = [
        AdvanceTime(1),
        AdvanceTime(2),
        Deposit("a", 1),
        Deposit("a", 2),
        LoadCatalogue((), (), (), ()),
    ]
    assert len({body_hash(encode(command)) for command in commands}) == len(commands)


def test_event_bytes_name_the_event():
    moved = Moved("a", "CASH", "b", "CASH", 5, "deposit", "")
    assert event_bytes([moved]) == event_bytes([replace(moved)])
    assert event_bytes([moved]) != event_bytes([moved, moved])
    assert event_bytes([Acknowledged("a", "b")]) != event_bytes([])
