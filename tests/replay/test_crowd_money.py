"""Whatever breaks while a day is prepared, each participant gets his money once, and one key."""

import asyncio
from collections import Counter
from contextlib import contextmanager

import msgspec
import pytest

from clients import Client
from clients.errors import NetworkError
from exchange.domain.commands import AdvanceTime, Deposit, PostBond
from exchange.domain.units import format_micro
from exchange.protocol.measures import Measures
from exchange.protocol.to_command import from_command
from exchange.replay.crowd import Crowd
from exchange.replay.crowd_days import crowd_day, money_commands
from exchange.replay.crowd_maker import BOND_MICRO, CASH_MICRO, MAKER
from exchange.replay.scenario import DEMO_START_NS, DEMO_VENUE
from exchange.replay.sessions import Sessions
from exchange.testing.server import running_server

BREAKS = {"deposit": (2, 9, 30), "post_bond": (1, 4, 11)}  # before the how many-th of them the wire breaks


class Breaking(Sessions):
    """Sessions on a wire that breaks before some of the commands that move money."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked = Counter()
        self.broken = 0

    async def for_operation(self, participant, operation):
        if operation in BREAKS:
            self.asked[operation] += 1
            if self.asked[operation] in BREAKS[operation]:
                self.broken += 1
                raise NetworkError("the wire broke")
        return await super().for_operation(participant, operation)


@contextmanager
def standing_exchange(folder):
    """One whose time stands still at the beginning of the demo's day."""
    with running_server(folder, "--clock", "manual", "--allow-reference") as server:
        with Client(url=server.url, key=server.operator_key) as operator:
            operation, arguments = from_command(AdvanceTime(DEMO_START_NS), Measures(DEMO_VENUE))
            operator.call(operation, **msgspec.structs.asdict(arguments))
        yield server


async def tick_until_whole(crowd):
    """Ticks as `play` does; how often one broke."""
    for broken in range(20):
        try:
            await crowd.tick()
        except NetworkError:
            continue
        return broken
    raise AssertionError("it never gets through")


async def keys_of(sessions):
    """Those that were made under the label of the second sessions."""
    return [key async for key in sessions.operator.keys() if key.label == "second"]  # noqa: SIM118 - no dict


def wanted_money(plan):
    """(all that comes in, the bond) of everybody for the first day, micro-yuan."""
    total, bond = Counter({MAKER: CASH_MICRO}), Counter({MAKER: BOND_MICRO})
    for command in money_commands(crowd_day(plan, 0)):
        if isinstance(command, Deposit):
            total[command.participant] += command.amount_micro
        elif isinstance(command, PostBond):
            bond[command.participant] += command.amount_micro
    return total, bond


@pytest.mark.slow
def test_a_day_that_is_opened_again_after_a_break_pays_nobody_twice(tmp_path):
    async def play(server):
        sessions = Breaking(server.url, server.operator_key, label="test")
        crowd = Crowd(sessions, server.folder, seed=1, tasks=4)
        try:
            ticks = await tick_until_whole(crowd)
            assert sessions.broken == sum(len(places) for places in BREAKS.values()) and ticks > 3
            # Somebody else takes the folder over where the first had only begun: the same days, the same money.
            state = server.folder / "crowd.json"
            state.write_text(state.read_text().replace('"opened": 0', '"opened": -1'))
            await Crowd(sessions, server.folder, seed=5, tasks=9).tick()
            return crowd._plan, [account async for account in sessions.operator.accounts() if account.participant != "outside"]
        finally:
            await sessions.close()

    with standing_exchange(tmp_path / "exchange") as server:
        plan, accounts = asyncio.run(play(server))
    total, bond = wanted_money(plan)
    assert {each.participant: str(each.total) for each in accounts if each.total} == {
        name: format_micro(amount) for name, amount in total.items()
    }
    assert {each.participant: str(each.bond) for each in accounts if each.bond} == {
        name: format_micro(amount) for name, amount in bond.items()
    }


@pytest.mark.slow
def test_a_participant_that_many_need_at_once_gets_one_key_and_a_revoked_one_is_replaced(tmp_path):
    async def play(server):
        sessions = Sessions(server.url, server.operator_key, label="test")
        crowd = Crowd(sessions, server.folder, seed=1, tasks=4)
        try:
            await crowd.tick()
            other = next(iter(sorted(sessions.known.keys() - {MAKER})))
            await sessions.close()
            sessions = Sessions(server.url, server.operator_key, label="second")
            await asyncio.gather(*(sessions.of(name) for name in (other, MAKER) * 10))
            keys = await keys_of(sessions)
            assert sorted(key.participant for key in keys) == sorted((other, MAKER))
            await sessions.operator.revoke_key(next(key.key_id for key in keys if key.participant == MAKER))
            late = Crowd(sessions, server.folder, seed=1, tasks=4)
            bond = {"amount": "1.00", "participant": MAKER}
            done = await asyncio.gather(*(late._call(MAKER, "post_bond", idempotency_key="late", **bond) for _ in range(4)))
            assert done == [True] * 4
            keys = await keys_of(sessions)
            assert sorted(key.is_revoked for key in keys if key.participant == MAKER) == [False, True]
            account = await sessions.operator.account(participant=MAKER)
            assert int(account.bond * 10**6) == BOND_MICRO + 10**6
        finally:
            await sessions.close()

    with standing_exchange(tmp_path / "exchange") as server:
        asyncio.run(play(server))
