"""The lane of what takes back: room when the inbox is full, ahead of everything but what the same participant said before."""

from __future__ import annotations

import pytest
from live import SlowDisk, run, send, toy_writer, until

from exchange.adapters.journal_file import read_commands
from exchange.domain.commands import CancelOrder, CancelTask, Deposit, PlaceOrder, SubmitTask, WithdrawOffer
from exchange.engine.journal import MAX_FRAME_COMMANDS
from exchange.engine.writer import CANCEL_ROOM, CANCELS, Busy

BACKLOG = 2 * MAX_FRAME_COMMANDS


def order(who: str, number: int) -> PlaceOrder:
    return PlaceOrder(who, f"o{number}", "chip/region/L1/grid/20261124T08", "buy", 10_000, 1, "GTC")


def logged(folder) -> list:
    return [entry.command for entry in read_commands(folder)]


async def behind_a_backlog(folder, disk, later, *, backlog=BACKLOG, **settings) -> None:
    """Sends `later` while a frame is being synced and so many orders of others wait."""
    async with toy_writer(folder, disk=disk, **settings) as writer:
        disk.hold()
        got = [send(writer, Deposit("first", 1))]
        await until(lambda: disk.syncs == 1, "the first frame is being synced")
        got += [send(writer, order("maker", number)) for number in range(backlog)]
        got += [send(writer, command) for command in later]
        disk.let_all_go()
        await until(lambda: all(got), "all are answered")


@pytest.mark.parametrize("cancel", [CancelOrder("calm", "x"), CancelTask("calm", "x"), WithdrawOffer("calm", "x")])
def test_a_cancel_does_not_wait_behind_the_orders_of_others(tmp_path, cancel):
    assert type(cancel) in CANCELS
    run(behind_a_backlog(tmp_path, SlowDisk(), [order("calm", 1), cancel, Deposit("late", 1)]))
    place = logged(tmp_path).index(cancel)
    assert place == BACKLOG + 2, "his own order waits, so it waits behind that"
    other = tmp_path / "other"
    run(behind_a_backlog(other, SlowDisk(), [cancel, Deposit("late", 1)]))
    assert logged(other).index(cancel) == 1, "the very next frame begins with it"


def test_a_cancel_never_overtakes_the_order_it_cancels_nor_anything_else_of_its_participant(tmp_path):
    later = []
    for number in range(300):
        who = f"p{number % 7}"
        later += [order(who, number), CancelOrder(who, f"o{number}")]
        if number % 5 == 0:
            later.append(CancelOrder(f"q{number}", "x"))
    run(behind_a_backlog(tmp_path, SlowDisk(), later))
    commands = logged(tmp_path)
    for who in {command.participant for command in later}:
        said = [command for command in later if command.participant == who]
        assert [command for command in commands if command.participant == who] == said
    free = [place for place, command in enumerate(commands) if command.participant.startswith("q")]
    assert free == list(range(1, 61)), "those of participants with nothing before them went ahead, in their order"


def test_what_is_said_after_a_cancel_does_not_overtake_it(tmp_path):
    later = [CancelOrder("calm", "o1"), order("calm", 1), CancelOrder("calm", "o1"), order("calm", 2)]
    run(behind_a_backlog(tmp_path, SlowDisk(), later))
    assert [command for command in logged(tmp_path) if command.participant == "calm"] == later


def test_a_task_counts_as_said_by_its_buyer(tmp_path):
    from toy import task

    wanted = task(1)
    assert isinstance(wanted, SubmitTask)
    cancel = CancelTask(wanted.task.participant, wanted.task.client_order_id)
    run(behind_a_backlog(tmp_path, SlowDisk(), [wanted, cancel]))
    assert logged(tmp_path)[-2:] == [wanted, cancel]


def test_where_the_next_frame_takes_all_nobody_overtakes(tmp_path):
    run(behind_a_backlog(tmp_path, SlowDisk(), [CancelOrder("calm", "x")], backlog=MAX_FRAME_COMMANDS - 1))
    assert logged(tmp_path)[-1] == CancelOrder("calm", "x")


def test_a_full_inbox_still_takes_cancels_until_their_room_is_full_too(tmp_path):
    disk, limit = SlowDisk(), 2000

    async def main():
        async with toy_writer(tmp_path, disk=disk, inbox_limit=limit) as writer:
            disk.hold()
            first = send(writer, Deposit("first", 1))
            await until(lambda: disk.syncs == 1, "the first frame is being synced")
            for number in range(limit):
                send(writer, order("flood", number))
            with pytest.raises(Busy):
                send(writer, order("calm", 1))
            got = [send(writer, CancelOrder(f"p{number}", "x")) for number in range(CANCEL_ROOM)]
            with pytest.raises(Busy):
                send(writer, CancelOrder("calm", "x"))
            assert writer.stats.busy == 2 and writer.waiting == limit + CANCEL_ROOM
            disk.let_all_go()
            await until(lambda: first and all(got), "all cancels are answered")
            assert not (await writer.submit(CancelOrder("calm", "x"))).events

    run(main())
    kinds = [type(command) for command in logged(tmp_path)]
    assert kinds[1 : CANCEL_ROOM + 1] == [CancelOrder] * CANCEL_ROOM and kinds.count(PlaceOrder) == limit


def test_the_lane_is_told_when_the_venue_halts(tmp_path):
    from toy import POISON

    disk = SlowDisk()

    async def main():
        async with toy_writer(tmp_path, disk=disk) as writer:
            disk.hold()
            send(writer, POISON)
            await until(lambda: disk.syncs == 1, "the poison is being synced")
            for number in range(BACKLOG):
                send(writer, order("maker", number))
            got = send(writer, CancelOrder("calm", "x"))
            disk.let_all_go()
            await until(lambda: got, "it is told")
            return got[0]

    told = run(main())
    assert not told.is_definite, "it was in the frame behind the fault, so it may be in the log"
