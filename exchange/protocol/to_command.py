"""Wire arguments to commands of the venue and back, one pair of functions per operation; exact in both directions.

An absent optional number is 0 in a command, so a zero that is written out is refused where it would mean something else.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from exchange.domain import commands as c
from exchange.domain import commands_delivery as cd
from exchange.domain import commands_safety as cs
from exchange.domain.units import NS_PER_SECOND
from exchange.protocol import requests as r
from exchange.protocol import requests_delivery as rd
from exchange.protocol import requests_entry as re
from exchange.protocol import requests_operator as ro
from exchange.protocol import to_command_delivery as wd
from exchange.protocol import to_command_green as wg
from exchange.protocol.measures import Measures, invalid, scaled
from exchange.protocol.to_command_settlement import SETTLEMENT

_INT64_SECONDS = (1 << 63) // NS_PER_SECOND


class Way(NamedTuple):
    """How one operation becomes a command, and that command the arguments of the operation again."""

    command: type[Any]
    to_command: Callable[[Any, str, Measures], Any]
    from_command: Callable[[Any, Measures], Any]


def to_command(op_name: str, args: Any, participant: str, measures: Measures) -> Any:
    """The command of an operation, done by or for `participant`; DoorError for a field that cannot be."""
    return WAYS[op_name].to_command(args, participant, measures)


def from_command(command: Any, measures: Measures) -> tuple[str, Any]:
    """(operation, arguments) that `to_command` turns into this very command; DoorError where there are none."""
    name = _NAMES[type(command)]
    return name, WAYS[name].from_command(command, measures)


# --- optional fields ---


def _positive(convert: Callable[[str, str], int], text: str | None, field: str) -> int:
    """0 for an absent number; one that is given must be above 0."""
    if text is None:
        return 0
    value = convert(text, field)
    if value <= 0:
        raise invalid(field, f"{text} is not above 0", "leave it out where it does not apply")
    return value


def _not_negative(convert: Callable[[str, str], int], text: str | None, field: str) -> int:
    """0 for an absent number, which 0 says as well."""
    if text is None:
        return 0
    value = convert(text, field)
    if value < 0:
        raise invalid(field, f"{text} is below 0")
    return value


def _or_none(value: int, text_of: Callable[[int], str]) -> str | None:
    return text_of(value) if value else None


# --- tasks ---


def task_of(args: r.TaskTerms, participant: str, m: Measures) -> c.Task:
    """The task itself, as it is submitted, amended and previewed."""
    if (args.cards is None) == (args.pflops_hours is None):
        raise invalid("cards", "either cards or pflops_hours must be given", "cards of the first chip, or PFLOPS-hours in all")
    if not args.chips and args.pflops_hours is None:
        raise invalid("chips", "no chip is named", "name at least one, or say pflops_hours")
    return c.Task(
        participant=participant,
        client_order_id=args.client_order_id,
        access_region=args.access_region,
        max_latency_us=_positive(m.latency_us, args.max_latency_ms, "max_latency_ms"),
        chips=tuple(_chip_of(item, place, m) for place, item in enumerate(args.chips)),
        lots=0 if args.cards is None else m.lots(args.cards, "cards"),
        periods=m.periods(args.hours, "hours"),
        earliest_start_ns=_positive(m.time_ns, args.earliest_start, "earliest_start"),
        deadline_ns=m.time_ns(args.deadline, "deadline"),
        price_cap_micro=_positive(m.price_micro, args.price_cap, "price_cap"),
        budget_micro=_positive(m.money_micro, args.budget, "budget"),
        data_mb=_not_negative(m.data_mb, args.data_gb, "data_gb"),
        data_region=args.data_region or "",
        lane=args.lane,
        shape=args.shape,
        allowed_regions=args.allowed_regions,
        min_green_ppm=_not_negative(m.ppm, args.min_green, "min_green"),
        checkpoint=args.checkpoint,
        on_break=args.on_break,
        valid_until_ns=_positive(m.time_ns, args.valid_until, "valid_until"),
        min_fill=_not_negative(m.lot_periods, args.min_fill, "min_fill"),
        min_run=_positive(m.periods, args.min_run, "min_run"),
        pflops_milli_hours=_positive(m.milli, args.pflops_hours, "pflops_hours"),
        steps=tuple(_step_of(item, place, m) for place, item in enumerate(args.steps)),
        is_immediate=args.is_immediate,
        slowest_class=args.slowest_class or "",
        work=args.work,
    )


def _step_of(item: r.LimitStep, place: int, m: Measures) -> c.TaskStep:
    """The first step has no time, every later one has."""
    if (item.at is None) != (place == 0):
        hint = "the first step is from the entry on, so it has no time" if place == 0 else "say from when on it counts"
        raise invalid(f"steps[{place}].at", "a step has its time, but for the first", hint)
    at_ns = _positive(m.time_ns, item.at, f"steps[{place}].at")
    return c.TaskStep(at_ns, m.price_micro(item.limit, f"steps[{place}].limit"))


def _chip_of(item: r.ChipChoice, place: int, m: Measures) -> c.TaskChip:
    return c.TaskChip(item.chip, 1_000_000 if item.factor == "1" else m.ppm(item.factor, f"chips[{place}].factor"))


_TASKS: msgspec.json.Decoder[c.Task] = msgspec.json.Decoder(c.Task)


def task_from_json(text: str) -> c.Task:
    """A task as the tables keep it, also one that was kept before it had all of today's fields."""
    return _TASKS.decode(text)


def terms_of(task: c.Task, m: Measures) -> r.TaskTerms:
    """The wire form of a task."""
    return r.TaskTerms(
        participant=task.participant,
        client_order_id=task.client_order_id,
        access_region=task.access_region,
        max_latency_ms=_or_none(task.max_latency_us, m.ms_text),
        chips=tuple(r.ChipChoice(chip=item.chip, factor=m.ppm_text(item.factor_ppm)) for item in task.chips),
        cards=None if task.pflops_milli_hours and not task.lots else m.cards_text(task.lots),
        pflops_hours=_or_none(task.pflops_milli_hours, m.milli_text),
        hours=m.hours_text(task.periods),
        earliest_start=_or_none(task.earliest_start_ns, m.time_text),
        deadline=m.time_text(task.deadline_ns),
        price_cap=_or_none(task.price_cap_micro, m.yuan),
        budget=_or_none(task.budget_micro, m.yuan),
        data_gb=_or_none(task.data_mb, m.gb_text),
        data_region=task.data_region or None,
        lane=task.lane,
        shape=task.shape,
        allowed_regions=task.allowed_regions,
        min_green=_or_none(task.min_green_ppm, m.ppm_text),
        checkpoint=task.checkpoint,
        on_break=task.on_break,
        valid_until=_or_none(task.valid_until_ns, m.time_text),
        min_fill=_or_none(task.min_fill, m.card_hours_text),
        min_run=_or_none(task.min_run, m.hours_text),
        steps=tuple(
            r.LimitStep(at=_or_none(step.at_ns, m.time_text), limit=m.yuan(step.limit_micro)) for step in task.steps
        ),
        is_immediate=task.is_immediate,
        slowest_class=task.slowest_class or None,
        work=task.work,
    )


# --- orders ---


def _order_of(args: r.OrderTerms, who: str, m: Measures) -> c.PlaceOrder:
    return c.PlaceOrder(
        who, args.client_order_id, args.instrument, args.side, m.price_micro(args.price, "price"),
        m.lots(args.cards, "cards"), args.tif, _positive(m.time_ns, args.expiry, "expiry"), or_better=args.or_better,
    )  # fmt: skip


def _order_terms(order: c.PlaceOrder, m: Measures) -> r.OrderTerms:
    if order.site:
        raise invalid("site", "a plain order names no site on the wire; sells come as offers")
    return r.OrderTerms(
        participant=order.participant, client_order_id=order.client_order_id, instrument=order.instrument,
        side=order.side, price=m.yuan(order.price_micro), cards=m.cards_text(order.lots), tif=order.tif,
        expiry=_or_none(order.expiry_ns, m.time_text), or_better=order.or_better,
    )  # fmt: skip


def _amended(args: r.OrderChange, who: str, m: Measures) -> c.AmendOrder:
    price = m.price_micro(args.price, "price")
    return c.AmendOrder(who, args.client_order_id, price, m.lots(args.cards, "cards"))


def _amend_terms(command: c.AmendOrder, m: Measures) -> r.OrderChange:
    return r.OrderChange(
        participant=command.participant, client_order_id=command.client_order_id,
        price=m.yuan(command.price_micro), cards=m.cards_text(command.lots),
    )  # fmt: skip


# --- offers ---


def _prices_of(args: r.OfferTerms | r.OfferChange, m: Measures) -> dict[str, Any]:
    """What an offer costs, in one of three ways; that it is one of them only is the venue's to check."""
    if args.price is None and not args.period_prices and args.price_base is None and not args.watts_per_card:
        hint = "give price, period_prices, or price_base and watts_per_card"
        raise invalid("price", "a price is needed, one for every period, or one that follows power", hint)
    return {
        "price_micro": 0 if args.price is None else m.price_micro(args.price, "price"),
        "period_prices_micro": tuple(
            m.price_micro(text, f"period_prices[{n}]") for n, text in enumerate(args.period_prices)
        ),
        "price_base_micro": _not_negative(m.price_micro, args.price_base, "price_base"),
        "watts_per_card": args.watts_per_card,
    }  # fmt: skip


def _prices_told(offer: c.PlaceOffer | c.AmendOffer, m: Measures) -> dict[str, Any]:
    follows_power = offer.price_base_micro or offer.watts_per_card
    has_price = offer.price_micro or not (offer.period_prices_micro or follows_power)
    return {
        "price": m.yuan(offer.price_micro) if has_price else None,
        "period_prices": tuple(map(m.yuan, offer.period_prices_micro)),
        "price_base": _or_none(offer.price_base_micro, m.yuan), "watts_per_card": offer.watts_per_card,
    }  # fmt: skip


def _offer_of(args: r.OfferTerms, who: str, m: Measures) -> c.PlaceOffer:
    return c.PlaceOffer(
        participant=who, offer_id=args.offer_id, site=args.site, chip=args.chip, latency_class=args.latency_class,
        power=args.power, lots=m.lots(args.cards, "cards"), start_ns=m.time_ns(args.start, "start"),
        end_ns=_positive(m.time_ns, args.end, "end"), min_lots=_positive(m.lots, args.min_cards, "min_cards") or 1,
        min_periods=_positive(m.periods, args.min_hours, "min_hours") or 1, indivisible_ok=args.indivisible_ok,
        notice_min=args.notice_min, standby=args.standby, **_prices_of(args, m),
    )  # fmt: skip


def _offer_terms(offer: c.PlaceOffer, m: Measures) -> r.OfferTerms:
    return r.OfferTerms(
        participant=offer.participant, offer_id=offer.offer_id, site=offer.site, chip=offer.chip,
        latency_class=offer.latency_class, power=offer.power, cards=m.cards_text(offer.lots),
        start=m.time_text(offer.start_ns), end=_or_none(offer.end_ns, m.time_text),
        min_cards=m.cards_text(offer.min_lots) if offer.min_lots != 1 else None,
        min_hours=m.hours_text(offer.min_periods) if offer.min_periods != 1 else None,
        indivisible_ok=offer.indivisible_ok, notice_min=offer.notice_min, standby=offer.standby, **_prices_told(offer, m),
    )  # fmt: skip


def _offer_amended(args: r.OfferChange, who: str, m: Measures) -> c.AmendOffer:
    lots = m.lots(args.cards, "cards")
    return c.AmendOffer(participant=who, offer_id=args.offer_id, lots=lots, **_prices_of(args, m))


def _offer_change(command: c.AmendOffer, m: Measures) -> r.OfferChange:
    cards = m.cards_text(command.lots)
    return r.OfferChange(participant=command.participant, offer_id=command.offer_id, cards=cards, **_prices_told(command, m))


# --- delivery ---


def _reading_of(args: r.ReadingTerms, who: str, m: Measures) -> c.SubmitReading:
    lots = m.lots(args.delivered_cards, "delivered_cards")
    return c.SubmitReading(who, args.obligation_id, args.number, lots, args.signature)


def _reading_terms(command: c.SubmitReading, m: Measures) -> r.ReadingTerms:
    return r.ReadingTerms(
        participant=command.participant, obligation_id=command.obligation_id, number=command.number,
        delivered_cards=m.cards_text(command.delivered_lots), signature=command.signature,
    )  # fmt: skip


def _dispute_of(args: r.ReadingDisputed, who: str, m: Measures) -> c.DisputeReading:
    return c.DisputeReading(who, args.obligation_id, m.lots(args.delivered_cards, "delivered_cards"))


def _outage_of(args: r.OutageNotice, who: str, m: Measures) -> c.AnnounceOutage:
    return c.AnnounceOutage(who, args.site, m.time_ns(args.start, "start"), m.time_ns(args.end, "end"))


def _outage_terms(command: c.AnnounceOutage, m: Measures) -> r.OutageNotice:
    start, end = m.time_text(command.start_ns), m.time_text(command.end_ns)
    return r.OutageNotice(participant=command.participant, site=command.site, start=start, end=end)


# --- the operator ---


def _capacity_of(args: ro.CapacityTerms, _: str, m: Measures) -> c.AttestCapacity:
    start, end = m.time_ns(args.start, "start"), m.time_ns(args.end, "end")
    return c.AttestCapacity(args.site, args.chip, m.lots(args.cards, "cards"), start, end)


def _capacity_terms(command: c.AttestCapacity, m: Measures) -> ro.CapacityTerms:
    return ro.CapacityTerms(
        site=command.site, chip=command.chip, cards=m.cards_text(command.lots),
        start=m.time_text(command.start_ns), end=m.time_text(command.end_ns),
    )  # fmt: skip


_PLAIN_SETTINGS = (
    "name", "time_zone", "period_min", "gate_min", "horizon_periods", "lots_per_card", "release_min", "dispute_min",
    "entry_margin_ppm", "alpha_ppm", "lambda_ppm", "lambda_announced_ppm", "max_waiting_per_firm",
    "max_waiting_per_chip", "max_task_lots", "green_needs_certificates", "fix_min_lots",
    "fix_half_spread_ppm",
)  # fmt: skip


def settings_of(args: ro.VenueTerms) -> c.SetVenue:
    """The settings of a venue; they need no measures, since they make them."""
    if args.idempotency_retention_s >= _INT64_SECONDS:
        raise invalid("idempotency_retention_s", f"{args.idempotency_retention_s} is too large")
    return c.SetVenue(
        **{name: getattr(args, name) for name in _PLAIN_SETTINGS},
        tick_micro=scaled(args.tick, 1_000_000, "tick"),
        idempotency_retention_ns=args.idempotency_retention_s * NS_PER_SECOND,
    )


def _settings_terms(command: c.SetVenue, m: Measures) -> ro.VenueTerms:
    seconds, rest = divmod(command.idempotency_retention_ns, NS_PER_SECOND)
    if rest:
        raise invalid("idempotency_retention_s", "on the wire it is whole seconds")
    return ro.VenueTerms(
        **{name: getattr(command, name) for name in _PLAIN_SETTINGS}, tick=m.yuan(command.tick_micro),
        idempotency_retention_s=seconds,
    )  # fmt: skip


def _catalogue_of(args: ro.CatalogueTerms, _: str, m: Measures) -> c.LoadCatalogue:
    return c.LoadCatalogue(
        tuple(c.Chip(x.code, x.family, x.fp16_gflops, x.memory_gb, x.watts, x.note) for x in args.chips),
        tuple(c.Region(x.code, x.name, x.hub, x.kind, x.longitude_mdeg, x.latitude_mdeg) for x in args.regions),
        tuple(c.Reach(x.access_region, x.host_region, x.latency_class, x.rtt_us) for x in args.reach),
        tuple(
            c.Link(
                x.from_region, x.to_region, m.price_micro(x.price_per_gb, f"links[{n}].price_per_gb"), x.mbit_per_s,
                x.mb_per_hour,
            )
            for n, x in enumerate(args.links)
        ),
    )


def _catalogue_terms(command: c.LoadCatalogue, m: Measures) -> ro.CatalogueTerms:
    return ro.CatalogueTerms(
        chips=tuple(_same(ro.ChipTerms, chip) for chip in command.chips),
        regions=tuple(_same(ro.RegionTerms, region) for region in command.regions),
        reach=tuple(_same(ro.ReachTerms, row) for row in command.reach),
        links=tuple(
            ro.LinkTerms(
                from_region=link.from_region, to_region=link.to_region,
                price_per_gb=m.yuan(link.price_micro_per_gb), mbit_per_s=link.mbit_per_s, mb_per_hour=link.mb_per_hour,
            )
            for link in command.links
        ),
    )  # fmt: skip


def _tariff_of(args: ro.TariffTerms, _: str, m: Measures) -> c.SetTariff:
    shares = tuple(c.Share(share.base, share.recipient, share.ppm) for share in args.shares)
    return c.SetTariff(
        args.version, m.time_ns(args.effective, "effective"), args.fee_standard_ppm, args.fee_economy_ppm,
        args.fee_emergency_ppm, shares,
    )  # fmt: skip


def _tariff_terms(command: c.SetTariff, m: Measures) -> ro.TariffTerms:
    return ro.TariffTerms(
        version=command.version, effective=m.time_text(command.effective_ns),
        fee_standard_ppm=command.fee_standard_ppm, fee_economy_ppm=command.fee_economy_ppm,
        fee_emergency_ppm=command.fee_emergency_ppm,
        shares=tuple(_same(ro.ShareTerms, share) for share in command.shares),
    )  # fmt: skip


def _fix_of(args: ro.FixTerms, _: str, m: Measures) -> c.SetFix:
    return c.SetFix(args.instrument, m.price_micro(args.price, "price"), args.grade, args.inputs_hash)


def _fix_terms(command: c.SetFix, m: Measures) -> ro.FixTerms:
    return ro.FixTerms(
        instrument=command.instrument, price=m.yuan(command.price_micro), grade=command.grade,
        inputs_hash=command.inputs_hash,
    )  # fmt: skip


def _power_of(args: ro.PowerPrices, _: str, m: Measures) -> c.SetPowerPrices:
    prices = tuple(m.price_micro(text, f"prices[{n}]") for n, text in enumerate(args.prices))
    return c.SetPowerPrices(args.region, m.time_ns(args.start, "start"), prices)


def _power_terms(command: c.SetPowerPrices, m: Measures) -> ro.PowerPrices:
    return ro.PowerPrices(
        region=command.region, start=m.time_text(command.start_ns), prices=tuple(map(m.yuan, command.prices_micro_per_kwh))
    )


# --- the table ---


def _same(cls: type[Any], source: Any) -> Any:
    """A struct or command whose fields have the names and kinds of the source's."""
    names = getattr(cls, "__struct_fields__", None) or tuple(cls.__dataclass_fields__)
    return cls(**{name: getattr(source, name) for name in names})


def _alike(command: type[Any], args_type: type[Any], *, is_own: bool = True) -> Way:
    """Both have the same fields; who does it may stand elsewhere on the wire."""
    fields = tuple(command.__dataclass_fields__)

    def forth(args: Any, who: str, _: Measures) -> Any:
        values = {name: getattr(args, name) for name in fields if name != "participant" or not is_own}
        return command(**values, participant=who) if is_own else command(**values)

    return Way(command, forth, lambda made, _: _same(args_type, made))


def _money(command: type[Any], args_type: type[Any]) -> Way:
    """Deposit, Withdraw, PostBond: an amount and perhaps a reference."""
    extra = ("reference",) if "reference" in command.__dataclass_fields__ else ()

    def forth(args: Any, who: str, m: Measures) -> Any:
        return command(who, m.money_micro(args.amount, "amount"), *(getattr(args, name) for name in extra))

    def back(made: Any, m: Measures) -> Any:
        more = {name: getattr(made, name) for name in extra}
        return args_type(participant=made.participant, amount=m.yuan(made.amount_micro), **more)

    return Way(command, forth, back)


WAYS: dict[str, Way] = {
    "submit_task": Way(
        c.SubmitTask, lambda args, who, m: c.SubmitTask(task_of(args, who, m)), lambda made, m: terms_of(made.task, m)
    ),
    "amend_task": Way(
        c.AmendTask, lambda args, who, m: c.AmendTask(task_of(args, who, m)), lambda made, m: terms_of(made.task, m)
    ),
    "cancel_task": _alike(c.CancelTask, r.OwnTask),
    "place_order": Way(c.PlaceOrder, _order_of, _order_terms),
    "amend_order": Way(c.AmendOrder, _amended, _amend_terms),
    "cancel_order": _alike(c.CancelOrder, r.OwnOrder),
    "cancel_after": _alike(cs.CancelAfter, re.CancelAfter),
    "place_offer": Way(c.PlaceOffer, _offer_of, _offer_terms),
    "amend_offer": Way(c.AmendOffer, _offer_amended, _offer_change),
    "withdraw_offer": _alike(c.WithdrawOffer, r.OwnOffer),
    "submit_reading": Way(c.SubmitReading, _reading_of, _reading_terms),
    "countersign_reading": _alike(c.CountersignReading, r.ReadingAgreed),
    "dispute_reading": Way(
        c.DisputeReading, _dispute_of,
        lambda made, m: r.ReadingDisputed(
            participant=made.participant, obligation_id=made.obligation_id,
            delivered_cards=m.cards_text(made.delivered_lots),
        ),
    ),
    "announce_outage": Way(c.AnnounceOutage, _outage_of, _outage_terms),
    "set_meter": Way(cd.SetMeter, wd.meter_of, wd.meter_terms),
    "give_access": Way(cd.GiveAccess, wd.access_of, wd.access_terms),
    "return_result": Way(cd.ReturnResult, wd.result_of, wd.result_terms),
    "probe_reading": Way(cd.ProbeReading, wd.probe_of, wd.probe_terms),
    "declare_failure": _alike(cd.DeclareFailure, rd.FailureTerms),
    "post_bond": _money(c.PostBond, r.BondTerms),
    "deposit": _money(c.Deposit, r.MoneyMove),
    "withdraw": _money(c.Withdraw, r.MoneyMove),
    "add_participant": _alike(c.AddParticipant, ro.ParticipantTerms, is_own=False),
    "allow_emergency": _alike(c.AllowEmergency, ro.EmergencyRight, is_own=False),
    "add_site": _alike(c.AddSite, ro.SiteTerms, is_own=False),
    "attest_capacity": Way(c.AttestCapacity, _capacity_of, _capacity_terms),
    "set_venue": Way(c.SetVenue, lambda args, _, __: settings_of(args), _settings_terms),
    "load_catalogue": Way(c.LoadCatalogue, _catalogue_of, _catalogue_terms),
    "set_tariff": Way(c.SetTariff, _tariff_of, _tariff_terms),
    "list_family": _alike(c.ListFamily, ro.FamilyTerms, is_own=False),
    "set_fix": Way(c.SetFix, _fix_of, _fix_terms),
    "issue_certificates": Way(c.IssueCertificates, wg.certificates_of, wg.certificate_terms),
    "set_power_prices": Way(c.SetPowerPrices, _power_of, _power_terms),
    **{name: Way(*row) for name, row in SETTLEMENT.items()},
    "advance_time": Way(
        c.AdvanceTime, lambda args, _, m: c.AdvanceTime(m.time_ns(args.to, "to")),
        lambda made, m: ro.ClockMove(to=m.time_text(made.now_ns)),
    ),
}  # fmt: skip

_NAMES = {way.command: name for name, way in WAYS.items()}
assert len(_NAMES) == len(WAYS) == len(c.COMMAND_TYPES), "every command has one operation"
