"""The socket's channels `lane` and `demand`: live views of the venue for `MarketData`, each in the shape of engine's views."""

from collections.abc import Sequence
from typing import Any

from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.domain.eligible import Eligible, eligible_families
from exchange.domain.instrument import book_id
from exchange.domain.state import TaskEntry
from exchange.domain.task_terms import size_of
from exchange.domain.units import PPM, div_ceil, div_floor
from exchange.domain.venue import Venue
from exchange.projections import demand, lane
from exchange.protocol import answers as a
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures
from exchange.protocol.stream import DemandData, LaneData

MOST_LANES = 128
Key = tuple[str, str]  # participant, client_order_id
_OF_TASKS = (e.TaskAccepted, e.TaskAmended, e.TaskStepped, e.TaskWaiting, e.TaskFilled, e.TaskEnded)
_CHANGES_WAYS = (c.LoadCatalogue, c.ListFamily)  # where a task may go, and what moving its data costs


def newest(steps: list[Any]) -> Any:
    """Several looks as one, where each has everything."""
    return steps[-1]


# --- lanes ---


class LaneWatch:
    """One lane view as it was last told."""

    def __init__(self, v: Venue, m: Measures, need: lane.Need) -> None:
        self._venue, self._measures, self._need = v, m, need
        self._ways: tuple[int, int] = (-1, -1)
        self._families: list[Eligible] = []
        self._books: frozenset[int] = frozenset()
        self._levels: list[lane.Level] | None = None
        self.look(set())

    @property
    def period(self) -> int:
        """The period of the need: the view ends with its gate."""
        return self._need.period

    def look(self, touched: set[int]) -> LaneData | None:
        """The whole view where it has changed."""
        v, need = self._venue, self._need
        ways = (id(v.state.catalogue), len(v.state.families))
        if ways != self._ways:
            self._ways, self._families = ways, lane.usable_families(v, need)
            self._books = frozenset(book_id(each.family, need.period) for each in self._families)
        elif touched.isdisjoint(self._books):
            return None
        levels = lane.levels_of(v, need.period, self._families, lane.LEVELS)
        if levels == self._levels:
            return None
        self._levels = levels
        return self.everything()

    def everything(self) -> LaneData:
        """The view as of the last look."""
        return LaneData(items=lane.level_answers(self._venue, self._measures, self._levels or []))


class LaneChannel:
    """Every lane view that somebody follows."""

    name = "lane"
    merge = staticmethod(newest)

    def __init__(self, v: Venue, most: int = MOST_LANES) -> None:
        self._venue, self.most = v, most

    def on_command(self, command: Any, events: Sequence[Any]) -> None:
        """Books and block offers say themselves when they were touched."""

    def open(self, topic: str) -> LaneWatch:
        """The view of this name; DoorError NOT_FOUND for none, or a period that is not open."""
        m = _measures(self._venue)
        return LaneWatch(self._venue, m, lane.need_of_topic(self._venue, m, topic))


# --- demand ---


class DemandWatch:
    """The demand table as it was last told, and which tasks it must look at again."""

    period = None

    def __init__(self, v: Venue, m: Measures) -> None:
        self._venue, self._measures = v, m
        self._table = demand.DemandTable()
        self._changed: dict[Key, None] = {}
        self._must_read_all = True
        self.look(set())

    def on_command(self, command: Any, events: Sequence[Any]) -> None:
        """Takes down whose wants may have changed."""
        if isinstance(command, _CHANGES_WAYS):
            self._must_read_all = True
        for event in events:
            if isinstance(event, _OF_TASKS):
                self._changed[event.participant, event.client_order_id] = None

    def look(self, touched: set[int]) -> DemandData | None:
        """The cells that changed; card_hours "0" where there is none any more."""
        self._read()
        v = self._venue
        changes = self._table.changes(v.periods.start(v.periods.at(v.now_ns)))
        return DemandData(items=self._answers(changes)) if changes else None

    def everything(self) -> DemandData:
        """All cells as of the last look."""
        return DemandData(items=self._answers(self._table.cells()))

    def _read(self) -> None:
        v = self._venue
        if self._must_read_all:
            self._must_read_all = False
            self._table.clear()
            self._changed.update(dict.fromkeys(v.task_numbers))
        for key in self._changed:
            number = v.task_numbers.get(key)
            if number is None:
                self._table.drop(key)
            else:
                self._table.put(key, want_of(v, v.state.tasks[number]))
        self._changed.clear()

    def _answers(self, cells: dict[demand.Cell, int]) -> tuple[a.DemandCell, ...]:
        m = self._measures
        return tuple(
            a.DemandCell(
                chip=cell.group.chip, access_region=cell.group.access_region, latency_class=cell.group.latency_class,
                deadline_hours=cell.deadline_h, price=m.yuan(cell.price_micro), card_hours=m.card_hours_text(lots),
            )
            for cell, lots in cells.items()
        )  # fmt: skip


def cell_key(cell: a.DemandCell) -> tuple[str, str, str, int, str]:
    """What tells one cell from another."""
    return cell.chip, cell.access_region, cell.latency_class, cell.deadline_hours, cell.price


def _last_word(steps: list[DemandData]) -> DemandData:
    """Several looks as one: the last word on each cell."""
    cells = {cell_key(cell): cell for step in steps for cell in step.items}
    return DemandData(items=tuple(cells.values()))


class DemandChannel:
    """The one demand table."""

    name = "demand"
    merge = staticmethod(_last_word)
    most = 1

    def __init__(self, v: Venue) -> None:
        self._venue = v
        self._watch: DemandWatch | None = None

    def on_command(self, command: Any, events: Sequence[Any]) -> None:
        """Nothing until somebody asks for the table."""
        if self._watch is not None:
            self._watch.on_command(command, events)

    def open(self, topic: str) -> DemandWatch:
        """The table; DoorError NOT_FOUND for any name."""
        if topic:
            raise DoorError(DoorReason.NOT_FOUND, "there is one demand table, without a name", field="instrument")
        self._watch = DemandWatch(self._venue, _measures(self._venue))
        return self._watch


def want_of(v: Venue, entry: TaskEntry) -> demand.Want:
    """What a waiting task would still buy: the rest of its first chip's lot-periods, for the rest of its present limit.

    The price is net: what moving its data would cost at least is taken off (HM1: the limit covers it). A plain buy that
    takes better (RT3) asks for no reach: it counts where it would be delivered.
    """
    task, now, size = entry.task, v.core.task(entry.number), size_of(v, entry.task)
    chip, factor = size.chips[0]
    left = max(1, div_ceil(size.lots * PPM, factor) * task.periods - now.filled)
    money_left = now.limit_micro - now.spent_micro - (0 if now.filled else _moving_micro(v, task))
    price = div_floor(max(0, money_left) * 60 * v.settings.lots_per_card, left * v.settings.period_min)
    access_region = task.access_region or task.allowed_regions[0]
    group = demand.Group(chip, access_region, demand.class_limit(task.max_latency_us, task.slowest_class))
    return demand.Want(group, v.state.participants[task.participant].firm, task.deadline_ns, price, left)


def _moving_micro(v: Venue, task: c.Task) -> int:
    """The least that moving its data to a region costs in which it may run; 0 where it has none, or can go nowhere."""
    if not task.data_mb:
        return 0
    regions = sorted({each.region for each in eligible_families(v, task)})
    known = [v.state.catalogue.moving(task.data_mb, task.data_region, region) for region in regions]
    return min((way[0] for way in known if way is not None), default=0)


def _measures(v: Venue) -> Measures:
    if v.state.settings is None:
        raise DoorError(DoorReason.NOT_FOUND, "the venue has no settings yet", hint="set_venue comes first")
    return Measures(v.settings)
