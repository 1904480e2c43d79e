"""Events as bytes and back: what was answered once can be answered again, and nothing else is taken for it."""

from __future__ import annotations

import dataclasses
import inspect

import msgspec
import pytest
import small_days
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain import events as module
from exchange.domain import events_settlement as settlement
from exchange.domain.events import Moved, Refused, Relaxation, Replayed, Settled
from exchange.protocol.codec import CodecError, event_bytes, events_from_bytes

PARTS = {"Relaxation", "Explanation", "FilledPart"}  # of events, never reported alone
KINDS = {
    name: kind
    for name, kind in inspect.getmembers(module, inspect.isclass)
    if dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__ and name not in PARTS
}
ANY = {
    "int": st.integers(-(2**63), 2**63 - 1), "str": st.text(max_size=40), "bool": st.booleans(),
    "Explanation": st.builds(
        module.Explanation, st.text(max_size=5), st.text(max_size=5),
        st.lists(st.builds(Relaxation, st.text(), st.text(), st.integers(0, 10**15), st.text()), max_size=3).map(tuple),
        st.booleans(),
    ),
    "tuple": st.lists(
        st.builds(module.FilledPart, st.text(), st.text(), *[st.integers(0, 10**15)] * 3, st.booleans()), max_size=3
    ).map(tuple),
}  # fmt: skip


def of_kind(kind):
    return st.builds(kind, *(ANY[getattr(field.type, "__name__", field.type)] for field in dataclasses.fields(kind)))


@given(st.data())
def test_every_kind_of_event_comes_back_as_it_was(data):
    events = [data.draw(of_kind(KINDS[name])) for name in data.draw(st.lists(st.sampled_from(sorted(KINDS)), max_size=6))]
    assert events_from_bytes(event_bytes(events)) == events


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_kind_of_event_has_been_forgotten(name):
    numbers = {"int": 7, "str": "x", "bool": True, "Explanation": module.NOT_EXPLAINED}
    numbers["tuple"] = (module.FilledPart("s", "i", 1, 2, 3, False),)
    event = KINDS[name](*(numbers[getattr(f.type, "__name__", f.type)] for f in dataclasses.fields(KINDS[name])))
    assert events_from_bytes(event_bytes([event])) == [event]


def test_what_is_told_of_cures_and_corrections_comes_back():
    seen = set()
    for _, _, _, events in small_days.cured_day().history:
        assert events_from_bytes(event_bytes(events)) == list(events)
        seen |= {type(event) for event in events}
    kinds = (kind for _, kind in inspect.getmembers(settlement, inspect.isclass))
    assert seen >= {kind for kind in kinds if kind.__module__ == settlement.__name__}


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ([("Invented", {})], "Invented"),
        ([("Replayed", {"command": "x"})], "no events"),
        ([("Replayed", {"command": 1, "reference": "", "original_seq": 1, "code": 0})], "no events"),
        ([("Replayed", {"command": "x", "reference": "", "original_seq": 1.5, "code": 0})], "no events"),
        ([("Replayed", {"command": "x", "reference": "", "original_seq": 1, "code": 0, "more": 1})], "canonical"),
        ([("Replayed", {"command": "x", "reference": "", "original_seq": 1})], "canonical"),
        ({"Replayed": 1}, "no events"),
        (7, "no events"),
    ],
)
def test_bytes_that_no_answer_has_are_refused(plain, words):
    with pytest.raises(CodecError, match=words):
        events_from_bytes(msgspec.msgpack.encode(plain))


def test_cut_or_longer_bytes_are_refused():
    move = Moved("a", "cash", "b", "held", 5, "k", "r")
    whole = event_bytes([Refused("A", "b", 301, "R", "m", "h"), Replayed("A", "b", 3), move])
    for cut in range(len(whole)):
        with pytest.raises(CodecError):
            events_from_bytes(whole[:cut])
    with pytest.raises(CodecError):
        events_from_bytes(whole + b"\0")
    assert len(events_from_bytes(whole)) == 3 and Settled.__name__ in KINDS
