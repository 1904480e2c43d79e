"""Stories as tables: one command a line, `->` and what must come of it, word for word.

A file holds several stories; `== RT4: title` opens one and names its rule. A line without `->` must merely not be
refused. `->` with nothing behind it says that nothing worth telling happens. Hours are hours of the first day (`h05` is
the delivery hour from 05:00, `h29` that of the next day), quantities are cards, money is yuan.

The world of every story, unless its `world` line says otherwise: hourly periods, gate 5 minutes, fee 0.5 %, 1 lot = 1
card; regions wuhan (edge), guian and qingyang (clusters); providers P1 (site g1 in guian), P2 (g2 in guian, w1 in wuhan)
and P3 (q1 in qingyang) with 640 cards of H800 and A910B at each site, buyers B1 and B2; everybody owns 100,000 yuan.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from worlds import HOUR, MINUTE, SECOND, T0, YUAN, World

from exchange.domain import commands as c
from exchange.domain import commands_delivery as cd
from exchange.domain import events as e
from exchange.domain import events_delivery as ed
from exchange.domain import events_settlement as es
from exchange.domain.events_green import CertificatesClosed
from exchange.domain.money import BUCKET_NAMES, balance
from exchange.domain.units import format_micro, parse_micro, parse_scaled
from exchange.domain.venue import Venue
from exchange.engine.fixer import Fixer

FAMILIES = (
    "H800/wuhan/L5/grid", "H800/guian/L10/grid", "H800/guian/L10/green", "H800/guian/BE/grid", "H800/qingyang/L10/grid",
    "A910B/guian/L10/grid", "A910B/qingyang/BE/grid",
)  # fmt: skip
REACH = (
    ("wuhan", "wuhan", "L5", 4_000), ("wuhan", "guian", "L10", 9_800), ("wuhan", "guian", "BE", 16_000),
    ("wuhan", "qingyang", "L10", 9_900), ("wuhan", "qingyang", "BE", 25_000), ("guian", "guian", "L10", 1_000),
)  # fmt: skip
LINKS = (("wuhan", "guian", 100_000, 10_000), ("wuhan", "qingyang", 50_000, 1_000))  # per GB, Mbit/s
SITES = (("g1", "P1", "guian"), ("g2", "P2", "guian"), ("w1", "P2", "wuhan"), ("q1", "P3", "qingyang"))
SETTINGS = {
    "period": "period_min", "gate": "gate_min", "horizon": "horizon_periods", "release": "release_min",
    "dispute": "dispute_min", "per-firm": "max_waiting_per_firm", "per-chip": "max_waiting_per_chip", "lots": "lots_per_card",
}  # fmt: skip


@dataclass(frozen=True)
class Story:
    """One scenario: the rule it shows and its lines with their numbers in the file."""

    file: str
    rule: str
    title: str
    lines: tuple[tuple[int, str], ...]

    @property
    def name(self) -> str:
        """How the story is shown in a test run."""
        return f"{self.rule}: {self.title}"


def read_stories(folder: Path) -> list[Story]:
    """All stories of a folder, file by file."""
    stories = []
    for path in sorted(folder.glob("*.txt")):
        head, lines = None, []
        for number, text in enumerate([*path.read_text("utf-8").splitlines(), "== end:"], 1):
            if text.startswith("=="):
                if head:
                    stories.append(Story(path.name, head[0].strip(), head[2].strip(), tuple(lines)))
                head, lines = text[2:].partition(":"), []
            elif text.strip() and not text.startswith("#"):
                lines.append((number, text))
    return stories


def play(story: Story, engine: type | None = None) -> World:
    """Runs a story; AssertionError names the line that went another way."""
    teller = Teller(engine)
    for number, text in story.lines:
        line, arrow, wanted = text.partition("->")
        told = teller.tell(line.split("#")[0].strip())
        where = f"{story.file}:{number}: {line.strip()}"
        if arrow:
            assert told == wanted.strip(), f"{where}\n   told: {told}\n wanted: {wanted.strip()}"
        else:
            assert "refused" not in told, f"{where}\n   told: {told}"
    return teller.world


class Teller:
    """Turns lines into commands, and events into words."""

    def __init__(self, engine: type | None = None) -> None:
        self.world = World(Venue(max_orders=10_000, engine=engine))

    def tell(self, line: str) -> str:
        """What happens because of one line."""
        words = shlex.split(line)
        verb, words = words[0], words[1:]
        if verb != "world" and not self.world.log:
            self._world([])
        if verb == "money":
            return self._money(words)
        if verb == "gate":
            return self._gate(words)
        if verb == "certificates":
            return self._certificates(words)
        result = getattr(self, "_" + verb.replace("-", "_"))(words)
        commands = result if isinstance(result, list) else [result]
        events = [event for command in commands for event in self.world.do(command)]
        return "; ".join(self._words(events))

    # --- the world ---

    def _world(self, words: list[str]) -> list:
        asked = dict(zip(words[::2], words[1::2], strict=True))
        fee, rich = int(asked.pop("fee", "5000")), parse_micro(asked.pop("money", "100000"))
        is_green = asked.pop("green", "") == "certified"
        settings = c.SetVenue(
            "story", green_needs_certificates=is_green,
            **{"lots_per_card": 1, **{SETTINGS[k]: int(x) for k, x in asked.items()}},
        )
        regions = tuple(c.Region(code, code, "", "edge" if code == "wuhan" else "cluster", 0, 0) for code in
                        ("wuhan", "guian", "qingyang"))  # fmt: skip
        chips = tuple(c.Chip(code, "ai", 990_000, 80, 700) for code in ("H800", "A910B", "L40S"))
        commands = [
            c.AdvanceTime(T0), settings,
            c.LoadCatalogue(chips, regions, tuple(c.Reach(*row) for row in REACH), tuple(c.Link(*row) for row in LINKS)),
            c.SetTariff(1, 0, fee, fee // 2, 2 * fee, ()),
            *(c.ListFamily(*code.split("/")) for code in FAMILIES),
        ]  # fmt: skip
        for name in ("B1", "B2", "P1", "P2", "P3"):
            may = name[0] == "B"  # EM5
            commands += [c.AddParticipant(name, f"firm {name}", may_use_emergency=may), c.Deposit(name, rich)]
        for row in SITES:
            commands.append(c.AddSite(*row))
            for chip in ("H800", "A910B"):
                commands.append(
                    c.AttestCapacity(row[0], chip, 640 * settings.lots_per_card, T0, T0 + 240 * HOUR)
                )
        for command in [
            *commands,
            c.AdvanceTime(T0),
        ]:  # the first tick after SetVenue lists the first periods
            self.world.do(command)
        return []

    @property
    def _lots_per_card(self) -> int:
        return self.world.settings.lots_per_card

    def _lots(self, cards: str) -> int:
        return parse_scaled(cards, self._lots_per_card)

    def _hour(self, text: str) -> int:
        """'05' or '05:30' or '05:30:01' of the first day."""
        hours, minutes, seconds = (*map(int, text.lstrip("h").split(":")), 0, 0)[:3]
        return T0 + hours * HOUR + minutes * MINUTE + seconds * SECOND

    def _instrument(self, text: str) -> str:
        """'H800/guian/L10/grid@05'."""
        family, _, hour = text.partition("@")
        return f"{family}/{self.world.venue.periods.code(self.world.venue.periods.at(self._hour(hour)))}"

    # --- commands ---

    def _clock(self, words: list[str]) -> c.AdvanceTime:
        return c.AdvanceTime(self._hour(words[0]))

    def _participant(self, words: list[str]) -> list:
        name, firm, money = words
        return [c.AddParticipant(name, firm), c.Deposit(name, parse_micro(money))]

    def _site(self, words: list[str]) -> list:
        """site g4 P4 guian: with 640 cards of H800."""
        lots = self._lots("640")
        return [c.AddSite(*words), c.AttestCapacity(words[0], "H800", lots, T0, T0 + 240 * HOUR)]

    def _list(self, words: list[str]) -> c.ListFamily:
        return c.ListFamily(*words[0].split("/"))

    def _deposit(self, words: list[str]) -> c.Deposit:
        return c.Deposit(words[0], parse_micro(words[1]))

    def _withdraw(self, words: list[str]) -> c.Withdraw:
        return c.Withdraw(words[0], parse_micro(words[1]))

    def _bond(self, words: list[str]) -> c.PostBond:
        return c.PostBond(words[0], parse_micro(words[1]))

    def _attest(self, words: list[str]) -> c.AttestCapacity:
        start, end = words[3].split("-")
        return c.AttestCapacity(words[0], words[1], self._lots(words[2]), self._hour(start), self._hour(end))

    def _tariff(self, words: list[str]) -> c.SetTariff:
        """tariff 2 from 24 fee 6000 compute:hub:{host}=10000 ..."""
        shares = []
        for item in words[5:]:
            base, _, rest = item.partition(":")
            recipient, _, ppm = rest.rpartition("=")
            shares.append(c.Share(base, recipient, int(ppm)))
        fee = int(words[4])
        return c.SetTariff(int(words[0]), self._hour(words[2]), fee, fee // 2, 2 * fee, tuple(shares))

    def _reach(self, words: list[str]) -> c.LoadCatalogue:
        """The catalogue again with one more row: reach FROM TO CLASS MICROSECONDS."""
        state = self.world.venue.state.catalogue
        rows = tuple(c.Reach(*row) for row in REACH) + (c.Reach(*words[:3], int(words[3])),)
        return c.LoadCatalogue(
            tuple(state.chips.values()), tuple(state.regions.values()), rows, tuple(c.Link(*x) for x in LINKS)
        )

    def _offer(self, words: list[str]) -> c.PlaceOffer:
        """offer P1 o1 g1 H800/L10/grid 64 @ 8.00 01-07 [prices 8,9] [min 16x3] [notice 30] [indivisible] [standby]

        `01-` stands until it is withdrawn; `@ power 2.00+700W` follows power from a base and a card's watts;
        `daily 02-04=7.50,09=8.00` is a standing offer's price by hour of the day.
        """
        who, name, site, place, cards, _, price, *more = words
        about = self._price_words(price, more)
        window = more.pop(0)
        chip, latency_class, power = place.split("/")
        start, end = (self._hour(text) if text else 0 for text in window.split("-"))
        while more:
            word = more.pop(0)
            if word == "min":
                cards_min, hours = more.pop(0).split("x")
                about |= {"min_lots": self._lots(cards_min), "min_periods": int(hours)}
            elif word == "prices":
                about["period_prices_micro"] = tuple(map(parse_micro, more.pop(0).split(",")))
            elif word == "daily":
                about["period_prices_micro"] = self._daily(more.pop(0))
            elif word == "notice":
                about["notice_min"] = int(more.pop(0))
            else:
                about[{"indivisible": "indivisible_ok", "standby": "standby"}[word]] = True
        return c.PlaceOffer(
            who,
            name,
            site,
            chip,
            latency_class,
            power,
            self._lots(cards),
            start,
            end,
            **about,
        )

    def _price_words(self, price: str, more: list[str]) -> dict:
        """The price of an offer: `8.00`, or `power 2.00+700W`."""
        if price != "power":
            return {"price_micro": parse_micro(price)}
        base, _, watts = more.pop(0).partition("+")
        return {"price_micro": 0, "price_base_micro": parse_micro(base), "watts_per_card": int(watts.rstrip("W"))}

    def _daily(self, text: str) -> tuple[int, ...]:
        """`02-04=7.50,09=8.00`: a price for each hour of a UTC day, 0 where nothing is said."""
        prices = [0] * (24 * 60 // self.world.settings.period_min)
        for part in text.split(","):
            hours, _, price = part.partition("=")
            first, _, last = hours.partition("-")
            for hour in range(int(first), int(last or int(first) + 1)):
                prices[hour] = parse_micro(price)
        return tuple(prices)

    def _amend_offer(self, words: list[str]) -> c.AmendOffer:
        """amend-offer P1 o1 64 @ 8.00 [prices 8,9 | daily 02-04=7.50]"""
        who, name, cards, _, price, *more = words
        about = self._price_words(price, more)
        while more:
            kind, text = more.pop(0), more.pop(0)
            prices = self._daily(text) if kind == "daily" else tuple(map(parse_micro, text.split(",")))
            about |= {"price_micro": 0, "period_prices_micro": prices}
        return c.AmendOffer(who, name, self._lots(cards), **about)

    def _power(self, words: list[str]) -> c.SetPowerPrices:
        """power guian 03 0.50,0.60: yuan per kWh, hour by hour."""
        region, start, prices = words
        return c.SetPowerPrices(region, self._hour(start), tuple(map(parse_micro, prices.split(","))))

    def _certify(self, words: list[str]) -> c.IssueCertificates:
        """certify P1 c1 guian 03 44800,44800: Wh hour by hour."""
        who, name, region, start, figures = words
        return c.IssueCertificates(
            who, name, region, self._hour(start), tuple(map(int, figures.split(","))), "modelled", "a story"
        )

    def _certificates(self, words: list[str]) -> str:
        """certificates P1 guian 03: what has become of them."""
        period = self.world.venue.periods.at(self._hour(words[2]))
        held = self.world.venue.state.certificates.get((words[0], words[1], period))
        if held is None:
            return "none"
        return f"issued {held.issued_wh} free {held.free_wh} pledged {held.pledged_wh} retired {held.retired_wh}"

    def _allow(self, words: list[str]) -> c.AllowEmergency:
        return c.AllowEmergency(words[0], True)

    def _forbid(self, words: list[str]) -> c.AllowEmergency:
        return c.AllowEmergency(words[0], False)

    def _link(self, words: list[str]) -> c.LoadCatalogue:
        """link FROM TO PRICE MBIT GB-AN-HOUR: the catalogue again with this link in the place of the old one."""
        state = self.world.venue.state.catalogue
        reach = tuple(c.Reach(a, h, k, us) for a, row in state.reach.items() for (h, k), us in row.items())
        price, mbit, capacity = parse_micro(words[2]), int(words[3]), parse_scaled(words[4], 1000)
        links = state.links | {(words[0], words[1]): c.Link(words[0], words[1], price, mbit, capacity)}
        return c.LoadCatalogue(tuple(state.chips.values()), tuple(state.regions.values()), reach, tuple(links.values()))

    def _withdraw_offer(self, words: list[str]) -> c.WithdrawOffer:
        return c.WithdrawOffer(*words)

    def _task(self, words: list[str]) -> c.SubmitTask:
        """task B1 t1 H800|A910B*0.5 64 x 6 [cap 9.00 | budget 3000] [within 10] [by 12] [start 01] ...

        For the cards stands `pflops:10.5` where they are PFLOPS-hours, for the chips then perhaps `any`.
        """
        return c.SubmitTask(self._terms(words))

    def _amend_task(self, words: list[str]) -> c.AmendTask:
        return c.AmendTask(self._terms(words))

    def _terms(self, words: list[str]) -> c.Task:
        who, name, chips, cards, _, hours, *more = words
        items = [item.partition("*") for item in chips.split("|") if item != "any"]
        about = {
            "access_region": "wuhan", "max_latency_us": 10_000, "earliest_start_ns": T0, "deadline_ns": self._hour("24"),
            "chips": tuple(c.TaskChip(code, parse_micro(factor or "1")) for code, _, factor in items),
        }  # fmt: skip
        if cards.startswith("pflops:"):
            about["pflops_milli_hours"], cards = parse_scaled(cards.removeprefix("pflops:"), 1000), "0"
        while more:
            self._task_word(more.pop(0), more, about)
        return c.Task(who, name, lots=self._lots(cards), periods=int(hours), **about)

    def _task_word(self, word: str, more: list[str], about: dict) -> None:
        match word:
            case "cap":
                about["price_cap_micro"] = parse_micro(more.pop(0))
            case "budget":
                about["budget_micro"] = parse_micro(more.pop(0))
            case "within":
                about["max_latency_us"] = parse_scaled(more.pop(0), 1000)
            case "by":
                about["deadline_ns"] = self._hour(more.pop(0))
            case "start":
                about["earliest_start_ns"] = self._hour(more.pop(0))
            case "until":
                about["valid_until_ns"] = self._hour(more.pop(0))
            case "data":
                about |= {"data_mb": parse_scaled(more.pop(0), 1000), "data_region": "wuhan"}
            case "from":
                about["data_region"] = more.pop(0)
            case "class":
                about["slowest_class"] = more.pop(0)
            case "steps":  # 8.00,03=8.50,05:30=9.00: the first limit, then from when on which
                first, *later = (step.rpartition("=") for step in more.pop(0).split(","))
                about["steps"] = (
                    c.TaskStep(0, parse_micro(first[2])),
                    *(c.TaskStep(self._hour(at), parse_micro(limit)) for at, _, limit in later),
                )
            case "now":
                about["is_immediate"] = True
            case "work":
                about["work"] = more.pop(0)
            case "lane":
                about["lane"] = more.pop(0)
            case "regions":
                about["allowed_regions"] = tuple(more.pop(0).split("|"))
            case "bulk" | "split" | "spread":
                about["shape"] = word
            case "min-run":
                about["min_run"] = int(more.pop(0))
            case "shape":
                about["shape"] = more.pop(0)
            case "min-fill":
                about["min_fill"] = int(more.pop(0))
            case "green":
                about["min_green_ppm"] = 1_000_000
            case "green-share":
                about["min_green_ppm"] = parse_scaled(more.pop(0), 1_000_000)
            case "checkpoint-none":
                about["checkpoint"] = "none"
            case "abandon":
                about["on_break"] = "abandon"
            case _:
                raise AssertionError(word)

    def _cancel_task(self, words: list[str]) -> c.CancelTask:
        return c.CancelTask(*words)

    def _bid(self, words: list[str]) -> c.PlaceOrder:
        """bid B1 b1 H800/guian/L10/grid@05 10 @ 8.10 [IOC | FOK | until 03] [or-better]"""
        who, name, place, cards, _, price, *more = words
        is_wide = "or-better" in more
        more = [word for word in more if word != "or-better"]
        tif, expiry = (
            ("GTD", self._hour(more[1])) if more[:1] == ["until"] else (more[0] if more else "GTC", 0)
        )
        return c.PlaceOrder(
            who, name, self._instrument(place), "buy", parse_micro(price), self._lots(cards), tif, expiry, or_better=is_wide
        )

    def _sell(self, words: list[str]) -> c.PlaceOrder:
        who, name, place, cards, _, price = words
        return c.PlaceOrder(
            who, name, self._instrument(place), "sell", parse_micro(price), self._lots(cards), site="g1"
        )

    def _amend_bid(self, words: list[str]) -> c.AmendOrder:
        return c.AmendOrder(words[0], words[1], parse_micro(words[4]), self._lots(words[2]))

    def _cancel_bid(self, words: list[str]) -> c.CancelOrder:
        return c.CancelOrder(*words)

    def _fix(self, words: list[str]) -> c.SetFix:
        return c.SetFix(self._instrument(words[0]), parse_micro(words[1]), words[2], "hash of its inputs")

    def _due(self, text: str):
        """'t1@03': what is owed to task or order t1 in hour 03 and not settled."""
        name, _, hour = text.partition("@")
        task_of: dict[int, str] = {}
        for event in (event for events in self.world.history for event in events):
            if isinstance(event, e.Traded):
                task_of[event.obligation_id] = event.task
            elif isinstance(event, e.MadeUp):
                task_of[event.obligation_id] = task_of[event.instead_of]
        for number, due in sorted(self.world.venue.state.obligations.items()):
            if task_of[number] == name and self.world.venue.periods.start(due.period) == self._hour(hour):
                return due
        raise AssertionError(f"nothing is owed for {text}")

    def _reading(self, words: list[str]) -> c.SubmitReading:
        """reading TASK@HOUR CARDS [number N] [signed]"""
        due, more = self._due(words[0]), words[2:]
        number = int(more[more.index("number") + 1]) if "number" in more else due.reading.number + 1
        signature = "ab" * 64 if "signed" in more else ""
        return c.SubmitReading(due.seller, due.number, number, self._lots(words[1]), signature)

    def _meter(self, words: list[str]) -> cd.SetMeter:
        """meter P1 g1 [heartbeat SECONDS] [signed]"""
        who, site, *more = words
        heartbeat_s = int(more[more.index("heartbeat") + 1]) if "heartbeat" in more else 0
        return cd.SetMeter(who, site, "cd" * 32 if "signed" in more else "", heartbeat_s)

    def _probe(self, words: list[str]) -> cd.ProbeReading:
        return cd.ProbeReading("probe-1", self._due(words[0]).number, self._lots(words[1]))

    def _fail(self, words: list[str]) -> cd.DeclareFailure:
        """fail t1@03 [P2]: its seller, or somebody else, says that it will not be delivered."""
        due = self._due(words[0])
        return cd.DeclareFailure(words[1] if len(words) > 1 else due.seller, due.number)

    def _lease(self, text: str) -> str:
        return str(self.world.venue.state.leases[self._due(text).lease].first)

    def _access(self, words: list[str]) -> cd.GiveAccess:
        """access P1 TASK@HOUR TEXT"""
        return cd.GiveAccess(words[0], self._lease(words[1]), words[2])

    def _result(self, words: list[str]) -> cd.ReturnResult:
        """result P1 TASK@HOUR EXIT-CODE TEXT [part]"""
        return cd.ReturnResult(words[0], self._lease(words[1]), int(words[2]), words[3], "part" not in words[4:])

    def _countersign(self, words: list[str]) -> c.CountersignReading:
        """countersign TASK@HOUR [NUMBER]: the buyer agrees with the last reading, or with the one named."""
        due = self._due(words[0])
        return c.CountersignReading(due.buyer, due.number, int(words[1]) if len(words) > 1 else due.reading.number)

    def _dispute(self, words: list[str]) -> c.DisputeReading:
        due = self._due(words[0])
        return c.DisputeReading(due.buyer, due.number, self._lots(words[1]))

    def _outage(self, words: list[str]) -> c.AnnounceOutage:
        start, end = words[2].split("-")
        return c.AnnounceOutage(words[0], words[1], self._hour(start), self._hour(end))

    def _deliver(self, words: list[str]) -> list:
        """The clock moves to the end of an hour, and everything owed in it has been delivered in full."""
        start = self._hour(words[0])
        self.world.do(c.AdvanceTime(start + self.world.period_ns))
        period = self.world.venue.periods.at(start)
        dues = sorted(self.world.venue.obligations_of_period.get(period, ()))
        owed = [self.world.venue.state.obligations[number] for number in dues]
        return [
            c.SubmitReading(due.seller, due.number, 1, due.lots)
            for due in owed if due.reading.number == 0 and due.number not in self.world.venue.state.failing
        ]

    def _buy_in(self, words: list[str]) -> c.BuyIn:
        return c.BuyIn(self._due(words[0]).number)

    def _curtail(self, words: list[str]) -> c.OrderCurtailment:
        """curtail region guian 01-03, or curtail site g1 01-03."""
        start, end = words[2].split("-")
        region, site = (words[1], "") if words[0] == "region" else ("", words[1])
        return c.OrderCurtailment(region, site, self._hour(start), self._hour(end), "grid order 7")

    def _bust(self, words: list[str]) -> c.BustTrade:
        return c.BustTrade(self._due(words[0]).number, "typed wrong")

    def _bust_number(self, words: list[str]) -> c.BustTrade:
        return c.BustTrade(int(words[0]), "typed wrong")

    def _adjust(self, words: list[str]) -> c.AdjustTrade:
        return c.AdjustTrade(self._due(words[0]).number, parse_micro(words[1]), "typed wrong")

    def _settle(self, words: list[str]) -> c.SettlePeriod:
        return c.SettlePeriod(self._hour(words[0]))

    def _money(self, words: list[str]) -> str:
        """money B1 held: what lies in a purse."""
        bucket = next(bucket for bucket, name in BUCKET_NAMES.items() if name == words[1])
        return format_micro(balance(self.world.venue, words[0], bucket))

    def _gate(self, words: list[str]) -> str:
        """gate 05: the clock comes to one second before an hour's gate, and the desk sets the fixes that are due (DI4)."""
        world, venue = self.world, self.world.venue
        world.do(c.AdvanceTime(self._hour(words[0]) - world.gate_ns - SECOND))
        fixer, now_ns = Fixer(venue), 0
        for command, events in zip(world.log, world.history, strict=True):
            now_ns = command.now_ns if isinstance(command, c.AdvanceTime) else now_ns
            for event in events:
                if isinstance(event, e.Traded):
                    fixer.remember(now_ns, event)
        fixes = [work.command for work in fixer.due(venue.now_ns, SECOND)]
        for fix in fixes:
            assert any(isinstance(event, e.FixSet) for event in world.do(fix)), fix
        told = [(fix.instrument.rpartition("/"), format_micro(fix.price_micro), fix.grade) for fix in fixes]
        return "; ".join(f"fix {parts[0]}@{parts[2][-2:]} {price} {grade}" for parts, price, grade in told)

    # --- events in words ---

    def _words(self, events: list) -> list[str]:
        told: list[str] = []
        open_run = None  # (key, first hour, last hour) of equal lines for consecutive hours
        for event in events:
            line, start_ns = self._word(event)
            if line is None:
                continue
            hour = None if start_ns is None else (start_ns - T0) // self.world.period_ns
            if hour is not None and open_run and open_run[0] == line and open_run[2] + 1 == hour:
                open_run = (line, open_run[1], hour)
                told[-1] = line.replace("{h}", f"h{open_run[1]:02}-{hour:02}")
                continue
            open_run = (line, hour, hour) if hour is not None else None
            told.append(line.replace("{h}", f"h{hour:02}") if hour is not None else line)
        return told

    def _word(self, event) -> tuple[str | None, int | None]:
        """(line, start of the hour it belongs to); {h} stands for the hour."""
        match event:
            case e.Refused():
                return f"refused {event.reason}", None
            case e.Traded():
                block = " block" if event.is_block else ""
                cards, price = self._cards(event.lots), format_micro(event.price_micro)
                return (
                    f"trade {event.task} {event.offer_id} {cards} @ {price} {{h}}{block}",
                    event.period_start_ns,
                )
            case e.TaskFilled():
                rest = "" if event.is_complete else f" part {self._cards(event.lot_periods)}"
                moving = f" moving {format_micro(event.moving_micro)}" if event.moving_micro else ""
                money = (
                    f"cost {format_micro(event.compute_micro)}{moving} fee {format_micro(event.fee_micro)}"
                )
                return (
                    f"filled {event.client_order_id} at {event.site or 'several'} {{h}} {money}{rest}",
                    event.start_ns,
                )
            case e.TaskAmended():
                place = "in its place" if event.keeps_place else "behind the others"
                return f"amended {event.client_order_id} {place} hold {format_micro(event.hold_micro)}", None
            case e.TaskStepped():
                return f"stepped {event.client_order_id} {format_micro(event.limit_micro)}", None
            case e.TaskWaiting():
                return f"waits {event.client_order_id}{self._why(event.explanation)}", None
            case e.TaskEnded():
                return f"{event.status} {event.client_order_id}{self._why(event.explanation)}", None
            case e.OrderChanged():
                reason = f" {event.reason}" if event.reason else ""
                return f"bid {event.client_order_id} {event.status}{reason}", None
            case e.OfferPlaced():
                block = " block" if event.is_block else ""
                hours = f"{event.periods}h" if event.periods else "standing"
                return f"placed {event.offer_id} {hours}{block}", None
            case e.OfferSkipped():
                return f"skipped {event.offer_id} {{h}} {event.reason}", event.period_start_ns
            case e.OfferEnded():
                return (
                    f"ended {event.offer_id} {self._cards(event.lots)} {{h}} {event.reason}",
                    event.period_start_ns,
                )
            case e.MarginShort():
                return f"margin of {event.participant} short {format_micro(event.short_micro)}", None
            case e.MadeUp():
                return f"made up {self._cards(event.lots)} {{h}}", event.period_start_ns
            case es.BuyInWaits():
                return f"waits for {self._cards(event.lots)} at up to {format_micro(event.limit_micro)}", None
            case es.BoughtIn():
                twelfths = "" if event.twelfths == 12 else f" {event.twelfths}/12"
                moving = f" moving {format_micro(event.moving_micro)}" if event.moving_micro else ""
                paid = f"cost {format_micro(event.cost_micro)}{moving} fee {format_micro(event.fee_micro)}"
                return f"covered {self._cards(event.lots)}{twelfths} {paid} of {format_micro(event.escrow_micro)}", None
            case es.BuyInEnded():
                margin = f" margin {format_micro(event.margin_micro)}" if event.margin_micro else ""
                refund = f" refund {format_micro(event.refund_micro)}" if event.refund_micro else ""
                return f"buy-in {event.reason}{margin}{refund} open {self._cards(event.open_lots)}", None
            case es.CurtailmentOrdered():
                return f"curtailed {event.region or event.site} {event.obligations}", None
            case es.TradeBusted():
                return f"busted {self._cards(event.lots)} @ {format_micro(event.price_micro)} {{h}}", event.period_start_ns
            case es.TradeAdjusted():
                price = f"{format_micro(event.before_micro)} to {format_micro(event.price_micro)}"
                money = f"cost {format_micro(event.cost_micro)} fee {format_micro(event.fee_micro)}"
                return f"adjusted from {price} {{h}} {money}", event.period_start_ns
            case ed.DeliveryFailed():
                return f"fails {self._cards(event.lots)} {{h}} {event.reason}", event.period_start_ns
            case ed.Dispatched():
                if not event.work:
                    return None, None
                hours, data = len(event.hours), f" data {event.data_mb} MB {event.data_region}" if event.data_mb else ""
                return f"{event.seller} runs {event.work!r} {{h}} x {hours}{data}", event.hours[0].period_start_ns
            case ed.AccessGiven():
                return f"{event.buyer} reads {event.access!r}", None
            case ed.ResultReturned():
                end = "" if event.is_final else " so far"
                return f"{event.buyer} reads {event.output!r} exit {event.exit_code}{end}", None
            case e.Settled():
                return self._settled(event), event.period_start_ns
            case CertificatesClosed():
                words = f"closed {event.participant} retired {event.retired_wh} unused {event.unused_wh} {{h}}"
                return words, event.period_start_ns
            case e.Replayed():
                return "replayed", None
        return None, None

    def _cards(self, lots: int) -> str:
        whole, rest = divmod(lots, self._lots_per_card)
        return f"{whole}.{rest}" if rest else f"{whole}"

    @staticmethod
    def _why(why: e.Explanation) -> str:
        if why.reason == "CANCELED":
            return ""
        change = next((r.change for r in why.relaxations if r.dimension == why.binding), "")
        return f" {why.reason}" + (f", {why.binding}: {change}" if change else "") + (" (at entry)" if why.is_of_entry else "")

    def _settled(self, event: e.Settled) -> str:
        damages = f" damages {format_micro(event.damages_micro)}" if event.damages_micro else ""
        cut = f" cut {format_micro(event.damages_cut_micro)}" if event.damages_cut_micro else ""
        refund = f" refund {format_micro(event.refund_micro)}" if event.refund_micro else ""
        moving = f" moving {format_micro(event.moving_micro)}" if event.moving_micro else ""
        paid = f"paid {format_micro(event.paid_micro)} fee {format_micro(event.fee_micro)}"
        return f"{{h}} {event.status} {paid}{moving}{refund}{damages}{cut}"


assert YUAN == 1_000_000
