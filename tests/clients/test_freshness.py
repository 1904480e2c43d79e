"""How old what we know may be: never younger than it is, whatever the two clocks and the wire do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clients.freshness import Freshness

S = 10**9


class Line:
    """Two clocks and a wire of some length between them."""

    def __init__(self, server_ahead_ns: int = 10**18) -> None:
        self.local_ns, self.ahead_ns = 5 * S, server_ahead_ns
        self.freshness = Freshness(3, lambda: self.local_ns)

    @property
    def trouble(self) -> str:
        return self.freshness.trouble

    def ask(self, there_ns: int = 0, back_ns: int = 0) -> None:
        """A question and its answer."""
        asked_ns = self.freshness.ask()
        self.local_ns += there_ns
        said_ns = self.local_ns + self.ahead_ns
        self.local_ns += back_ns
        self.freshness.answer(asked_ns, said_ns)

    def beat(self, late_ns: int = 0, queued: int = 0) -> None:
        """A heartbeat that was on its way for so long arrives now."""
        self.freshness.beat(self.local_ns + self.ahead_ns - late_ns, queued)

    def wait(self, passed_ns: int) -> None:
        self.local_ns += passed_ns


def fresh() -> Line:
    line = Line()
    line.beat()
    line.ask()
    assert line.trouble == ""
    return line


def test_without_a_heartbeat_and_a_comparison_of_clocks_nothing_is_current() -> None:
    line = Line()
    assert "no heartbeat has come" in line.trouble and line.freshness.must_ask
    line.beat()
    assert "not known yet" in line.trouble
    line.ask(1000, 1000)
    assert line.trouble == "" and not line.freshness.must_ask
    line.freshness.begin()
    assert line.trouble != ""


def test_silence_is_trouble_and_the_next_heartbeat_ends_it() -> None:
    line = fresh()
    line.wait(3 * S + 1)
    assert "no heartbeat was heard for 3 s" in line.trouble
    line.beat()
    assert line.trouble == ""


def test_a_wire_that_gets_later_is_seen_although_heartbeats_keep_coming() -> None:
    line = fresh()
    for late_ns in range(0, 3 * S, S // 2):
        line.wait(S)
        line.beat(late_ns)
        assert line.trouble == ""
    line.wait(S)
    line.beat(3 * S + 1)
    assert "the wire is late: the newest heartbeat is 3.0 s old" in line.trouble
    assert line.freshness.must_ask
    line.ask(0, 4 * S)  # the answer is late as well, so it is no excuse
    line.beat(4 * S)
    assert "late" in line.trouble
    line.beat(0)
    assert line.trouble == ""


def test_a_wire_that_was_late_from_the_start_is_seen_too() -> None:
    line = Line()
    line.beat(5 * S)
    line.ask(0, 5 * S)
    line.beat(5 * S)
    assert "not known yet" in line.trouble and line.freshness.must_ask
    line.ask(0, 2 * S)
    line.beat(2 * S)
    assert line.trouble == ""
    line.beat(4 * S)
    assert "late" in line.trouble


def test_a_clock_that_was_set_is_compared_anew() -> None:
    for step_ns in (3600 * S, -3600 * S):
        line = fresh()
        line.ahead_ns += step_ns
        line.beat()
        assert line.trouble != "" and line.freshness.must_ask
        line.ask(S // 1000, S // 1000)
        line.beat()
        assert line.trouble == ""


def test_clocks_that_drift_for_a_day_are_no_trouble() -> None:
    for drift_ns in (200_000, -200_000):  # 200 ppm
        line = fresh()
        for _ in range(86_400):
            line.wait(S)
            line.ahead_ns += drift_ns
            line.beat(1_000_000)
            if line.freshness.must_ask:
                line.ask(1_000_000, 1_000_000)
            assert line.trouble == ""


def test_a_question_whose_answer_is_lost_is_asked_again() -> None:
    line = Line()
    line.freshness.ask()
    assert not line.freshness.must_ask
    line.wait(3 * S + 1)
    assert line.freshness.must_ask


def test_what_waits_for_longer_than_a_beat_is_trouble() -> None:
    line = fresh()
    line.beat(queued=5)
    assert line.trouble == ""
    line.beat(queued=1)
    assert "waiting for us" in line.trouble
    line.beat(queued=0)
    assert line.trouble == ""


def test_no_heartbeat_granted_is_trouble_for_good() -> None:
    line = fresh()
    line.freshness.refuse("the key may not")
    line.beat()
    assert "gives no heartbeat (the key may not)" in line.trouble


STEPS = st.lists(
    st.tuples(st.sampled_from(("ask", "beat", "wait")), st.integers(0, 6 * S), st.integers(0, 6 * S)), max_size=40
)


@given(STEPS, st.integers(-(10**19), 10**19))
def test_nothing_older_than_the_limit_is_ever_called_fresh(steps: list[tuple[str, int, int]], ahead_ns: int) -> None:
    line = Line(ahead_ns)
    made_ns = None  # when the newest heartbeat was made, by our clock
    for what, first_ns, second_ns in steps:
        if what == "ask":
            line.ask(first_ns, second_ns)
        elif what == "wait":
            line.wait(first_ns)
        else:
            line.beat(first_ns)
            made_ns = line.local_ns - first_ns
        if line.trouble == "":
            assert made_ns is not None and line.local_ns - made_ns <= 3 * S
