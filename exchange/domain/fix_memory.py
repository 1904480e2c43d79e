"""What the venue remembers of fixes (DI4): the curve of each family near now, and one chained index a region.

The index is a matched model. In one step (all fixes set at one log time for one period) each family of the region that
gets a fix of grade A or B, and had one before, votes for the level at which the index would stand if all its prices had
moved as this family's did; the lower median of the votes is the new level. Nothing but SetFix moves it.
"""

from dataclasses import dataclass, field

from exchange.domain.units import NS_PER_HOUR, PPM, div_half_even

INDEX_BASE = 1_000_000  # level of a region before its first vote
NEIGHBOURS = 3  # hours before and after that may stand in for an hour
SHIFT_LIMIT_PPM = 250_000  # the curve moves a neighbour's price by at most a quarter
CORRECTION_KEPT_NS = 48 * NS_PER_HOUR  # longer than any window that looks at trades


def shift_ppm(ask_there_ticks: int, ask_here_ticks: int) -> int:
    """How the curve moves a price from one hour (here) to another (there); 0 ticks = nobody asks: it says nothing."""
    if not ask_there_ticks or not ask_here_ticks:
        return PPM
    ratio = div_half_even(ask_there_ticks * PPM, ask_here_ticks)
    return min(max(ratio, PPM - SHIFT_LIMIT_PPM), PPM + SHIFT_LIMIT_PPM)


def shifted(price_ticks: int, by_ppm: int) -> int:
    """A price moved along the curve, in whole ticks, at least one."""
    return max(1, div_half_even(price_ticks * by_ppm, PPM))


def moved_micro(price_micro: int, from_level: int, to_level: int, tick_micro: int) -> int:
    """A price moved with its region's index, in whole ticks, at least one."""
    return max(1, div_half_even(price_micro * to_level, from_level * tick_micro)) * tick_micro


@dataclass(slots=True)
class Mark:
    """A fix and the level of its region's index then; level 0 = the one that the open step comes to."""

    price_micro: int = 0  # 0 = there was none
    level: int = 0


@dataclass(slots=True)
class FamilyFixes:
    """What is remembered of a family."""

    last: Mark = field(default_factory=Mark)  # the last fix that was not just moved with the index
    firm: Mark = field(default_factory=Mark)  # the last one of grade A or B
    asks: dict[int, int] = field(default_factory=dict)  # period -> best ask in ticks when its fix was set, 0 = none


@dataclass(slots=True)
class RegionIndex:
    """The index of a region: its level before the open step, and the votes of that step."""

    level: int = INDEX_BASE
    time_ns: int = 0
    period: int = -1
    votes: list[int] = field(default_factory=list)
    families: list[int] = field(default_factory=list)  # those marked in the open step

    @property
    def level_now(self) -> int:
        """The lower median of the votes, the level before where nobody voted."""
        return sorted(self.votes)[(len(self.votes) - 1) // 2] if self.votes else self.level


@dataclass(slots=True)
class Correction:
    """A trade whose price was changed afterwards, or that was busted (0 ticks)."""

    price_ticks: int
    time_ns: int


@dataclass(slots=True)
class FixMemory:
    """Curve and indices; part of the venue's state."""

    families: dict[int, FamilyFixes] = field(default_factory=dict)
    regions: dict[str, RegionIndex] = field(default_factory=dict)
    corrections: dict[int, Correction] = field(default_factory=dict)  # by obligation

    def note(
        self, family: int, region: str, period: int, now_ns: int, price_micro: int, grade: str, *, ask_ticks: int = 0,
        tick_micro: int = 1, keep_from: int = 0,
    ) -> None:  # fmt: skip
        """A fix that has been set; keep_from: asks of earlier periods are forgotten."""
        index = self.regions.setdefault(region, RegionIndex())
        if (index.time_ns, index.period) != (now_ns, period):
            self._close(index)
            index.time_ns, index.period = now_ns, period
        fixes = self.families.setdefault(family, FamilyFixes())
        if grade != "C":
            self._vote(index, fixes.firm, price_micro)
            fixes.firm, fixes.last = Mark(price_micro), Mark(price_micro)
            index.families.append(family)
        elif price_micro != self.moved(family, region, tick_micro):
            fixes.last = Mark(price_micro)
            index.families.append(family)
        fixes.asks[period] = ask_ticks
        for over in [known for known in fixes.asks if known < keep_from]:
            del fixes.asks[over]

    @staticmethod
    def _vote(index: RegionIndex, firm: Mark, price_micro: int) -> None:
        """At most one vote a family and step: a mark of the open step has no level yet."""
        if firm.price_micro and firm.level:
            index.votes.append(max(1, div_half_even(firm.level * price_micro, firm.price_micro)))

    def _close(self, index: RegionIndex) -> None:
        """Ends the open step: its level holds, and its marks get it."""
        index.level = index.level_now
        for number in index.families:
            for mark in (self.families[number].last, self.families[number].firm):
                mark.level = mark.level or (index.level if mark.price_micro else 0)
        index.votes, index.families = [], []

    def level(self, region: str) -> int:
        """The level of a region's index now."""
        index = self.regions.get(region)
        return index.level_now if index else INDEX_BASE

    def previous(self, family: int, region: str) -> tuple[int, int]:
        """(price in micro-yuan, level then) of the fix that the index moves; (0, 0) where there is none."""
        fixes = self.families.get(family)
        if fixes is None or not fixes.last.price_micro:
            return 0, 0
        return fixes.last.price_micro, fixes.last.level or self.level(region)

    def moved(self, family: int, region: str, tick_micro: int) -> int:
        """The previous fix of a family moved to its region's level now; 0 where there is none."""
        price_micro, level = self.previous(family, region)
        return moved_micro(price_micro, level, self.level(region), tick_micro) if price_micro else 0

    def correct(self, obligation: int, price_ticks: int, now_ns: int) -> None:
        """A trade that the next fixes must see at another price, or not at all (0 ticks)."""
        self.corrections = {
            number: known for number, known in self.corrections.items() if known.time_ns > now_ns - CORRECTION_KEPT_NS
        }
        self.corrections[obligation] = Correction(price_ticks, now_ns)

    def copy(self) -> "FixMemory":
        """One to try fixes on: families and regions of its own, corrections shared. O(families)."""
        families = {
            number: FamilyFixes(
                Mark(known.last.price_micro, known.last.level), Mark(known.firm.price_micro, known.firm.level), dict(known.asks)
            )
            for number, known in self.families.items()
        }  # fmt: skip
        regions = {
            code: RegionIndex(known.level, known.time_ns, known.period, list(known.votes), list(known.families))
            for code, known in self.regions.items()
        }
        return FixMemory(families, regions, self.corrections)
