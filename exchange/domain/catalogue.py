"""The catalogue: chips, regions, reach and links, checked (CA1), and the commands that tell the core of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from exchange.domain.commands import Chip, Link, LoadCatalogue, Reach, Region
from exchange.domain.instrument import LATENCY_CLASSES
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.units import MICRO, NS_PER_SECOND, div_ceil, div_floor
from matching_core.limits import MAX_DATA_MB, MAX_MBIT_PER_S, MAX_REGION, MAX_RTT_US

MAX_CHIPS = 4000  # chip number and period make one 32-bit capacity group
_CLASS_ORDER = {name: place for place, name in enumerate(LATENCY_CLASSES)}


@dataclass(slots=True)
class Catalogue:
    """What exists, and who reaches whom how fast. Built only by `load`."""

    chips: dict[str, Chip] = field(default_factory=dict)
    chip_numbers: dict[str, int] = field(default_factory=dict)
    regions: dict[str, Region] = field(default_factory=dict)
    region_numbers: dict[str, int] = field(default_factory=dict)
    reach: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)  # access -> (host, class) -> rtt_us
    links: dict[tuple[str, str], Link] = field(default_factory=dict)

    def rtt_us(self, access_region: str, host_region: str, latency_class: str) -> int | None:
        """Round trip between two regions for what is sold in a class: a faster class serves a slower need, so where the pair
        has not this class, the fastest slower one it has counts. None where it has none.
        """
        row = self.reach.get(access_region, {})
        for name in LATENCY_CLASSES[_CLASS_ORDER[latency_class] :]:
            if (host_region, name) in row:
                return row[host_region, name]
        return None

    def hosts(self, region: str, latency_class: str) -> bool:
        """Whether (region, class) exists for anyone (CA1: only such pairs are listed)."""
        return any((region, latency_class) in row for row in self.reach.values())

    def effective_reach(self) -> dict[tuple[int, int, int], int]:
        """(access, host, class) by number -> round trip in us, where a task can be served; see `rtt_us`."""
        numbers, found = self.region_numbers, {}
        for access, row in self.reach.items():
            for host in {host for host, _ in row}:
                for place, name in enumerate(LATENCY_CLASSES):
                    rtt_us = self.rtt_us(access, host, name)
                    if rtt_us is not None:
                        found[numbers[access], numbers[host], place] = rtt_us
        return dict(sorted(found.items()))

    def core_links(self, period_min: int) -> dict[tuple[int, int], tuple[int, int, int]]:
        """(from, to) by number -> (micro-yuan per GB, Mbit/s, MB per period; 0 = any)."""
        numbers = self.region_numbers
        found = {(numbers[a], numbers[b]): _link_terms(link, period_min) for (a, b), link in self.links.items()}
        return dict(sorted(found.items()))

    def moving(self, data_mb: int, data_region: str, host_region: str) -> tuple[int, int] | None:
        """(price in micro-yuan, delay in ns) of moving data_mb to a host region; None where there is no link."""
        if data_mb == 0:
            return 0, 0
        link = self.links.get((data_region, host_region))
        if link is None:
            return (0, 0) if data_region == host_region else None
        price = div_ceil(data_mb * link.price_micro_per_gb, 1000)
        delay = div_ceil(data_mb * 8 * NS_PER_SECOND, link.mbit_per_s)
        return price, delay


def _link_terms(link: Link, period_min: int) -> tuple[int, int, int]:
    """As the core keeps a link; a capacity too small for a period's share of it is one MB."""
    per_period_mb = max(1, div_floor(link.mb_per_hour * period_min, 60)) if link.mb_per_hour else 0
    return link.price_micro_per_gb, link.mbit_per_s, per_period_mb


def changes(before: dict, after: dict, nothing) -> Iterator[tuple]:
    """(key, value) of everything that is new, differs, or is gone (`nothing` then), in order of the keys."""
    for key in sorted(before.keys() | after.keys()):
        value = after.get(key, nothing)
        if before.get(key, nothing) != value:
            yield key, value


def _refuse(message: str) -> Refusal:
    return Refusal(VenueReason.INVALID_CATALOGUE, message, "mend the catalogue file and load it again")


def _check_code(code: str) -> None:
    """Codes are parts of instrument codes and of account names."""
    if not (0 < len(code) <= 36 and code.isascii() and code.isprintable() and "/" not in code):
        raise _refuse(f"code {code[:40]!r} must be 1 to 36 printable ASCII characters without a slash")


def _check_chip(chip: Chip) -> None:
    _check_code(chip.code)
    if chip.family not in ("ai", "general", "super"):
        raise _refuse(f"chip {chip.code}: family {chip.family!r} is none of ai, general, super")
    if min(chip.fp16_gflops, chip.memory_gb, chip.watts) <= 0:
        raise _refuse(f"chip {chip.code}: performance, memory and watts must be positive")


def _check_region(region: Region) -> None:
    _check_code(region.code)
    if region.kind not in ("cluster", "edge", "access"):
        raise _refuse(f"region {region.code}: kind {region.kind!r} is none of cluster, edge, access")
    if abs(region.longitude_mdeg) > 180_000 or abs(region.latitude_mdeg) > 90_000:
        raise _refuse(f"region {region.code}: longitude or latitude is off the globe")


def _check_reach(rows: tuple[Reach, ...], regions: dict[str, Region]) -> dict[str, dict[tuple[str, str], int]]:
    table: dict[str, dict[tuple[str, str], int]] = {}
    for row in rows:
        where = f"reach {row.access_region} -> {row.host_region} {row.latency_class}"
        if row.access_region not in regions or row.host_region not in regions:
            raise _refuse(f"{where}: a region is not in the catalogue")
        if row.latency_class not in _CLASS_ORDER or not 0 < row.rtt_us <= MAX_RTT_US:
            raise _refuse(f"{where}: unknown class, or a time that is not positive or above {MAX_RTT_US} us")
        if regions[row.host_region].kind == "access":
            raise _refuse(f"{where}: an access-only region hosts nothing")
        access = table.setdefault(row.access_region, {})
        if (row.host_region, row.latency_class) in access:
            raise _refuse(f"{where}: given twice")
        access[row.host_region, row.latency_class] = row.rtt_us
    for access_region, access in table.items():
        for (host, name), rtt_us in access.items():
            for faster in LATENCY_CLASSES[: _CLASS_ORDER[name]]:
                if access.get((host, faster), 0) > rtt_us:
                    raise _refuse(f"reach {access_region} -> {host}: {faster} is slower than {name} (CA1)")
    return table


def load(command: LoadCatalogue, before: Catalogue) -> Catalogue:
    """A checked catalogue; Refusal names the row that is wrong. What `before` has may not vanish or change."""
    chips: dict[str, Chip] = {}
    for chip in command.chips:
        _check_chip(chip)
        if chips.setdefault(chip.code, chip) is not chip:
            raise _refuse(f"chip {chip.code}: given twice")
    regions: dict[str, Region] = {}
    for region in command.regions:
        _check_region(region)
        if regions.setdefault(region.code, region) is not region:
            raise _refuse(f"region {region.code}: given twice")
    if not 0 < len(chips) <= MAX_CHIPS or not 0 < len(regions) <= MAX_REGION:
        raise _refuse(f"a catalogue needs 1 to {MAX_CHIPS} chips and 1 to {MAX_REGION} regions")
    reach = _check_reach(command.reach, regions)
    links = _check_links(command.links, regions)
    _check_kept(before, chips, regions)
    numbers = dict(before.chip_numbers)
    for code in chips:
        numbers.setdefault(code, len(numbers) + 1)
    region_numbers = dict(before.region_numbers)
    for code in sorted(regions):
        region_numbers.setdefault(code, len(region_numbers) + 1)
    return Catalogue(chips, numbers, regions, region_numbers, reach, links)


def _check_links(rows: tuple[Link, ...], regions: dict[str, Region]) -> dict[tuple[str, str], Link]:
    links: dict[tuple[str, str], Link] = {}
    for link in rows:
        key = (link.from_region, link.to_region)
        where = f"link {link.from_region} -> {link.to_region}"
        if key in links or not set(key) <= regions.keys():
            raise _refuse(f"{where}: given twice, or a region is not in the catalogue")
        if not 0 <= link.price_micro_per_gb <= 1000 * MICRO or not 0 < link.mbit_per_s <= MAX_MBIT_PER_S:
            raise _refuse(f"{where}: price must be 0-1000 yuan per GB, speed 1-10^9 Mbit/s")
        if not 0 <= link.mb_per_hour <= MAX_DATA_MB:
            raise _refuse(f"{where}: capacity must be 0 (any) to {MAX_DATA_MB} MB an hour")
        links[key] = link
    return links


def _check_kept(before: Catalogue, chips: dict[str, Chip], regions: dict[str, Region]) -> None:
    for code, chip in before.chips.items():
        if chips.get(code) != chip:
            raise _refuse(f"chip {code} is in use and may not change or vanish")
    for code in before.regions:
        if code not in regions:
            raise _refuse(f"region {code} is in use and may not vanish")
