"""Wire arguments to commands of delivery and back; in the table of `to_command` as all others."""

from exchange.domain import commands_delivery as c
from exchange.protocol import requests_delivery as r
from exchange.protocol.measures import Measures


def meter_of(args: r.MeterTerms, who: str, _: Measures) -> c.SetMeter:
    """SetMeter."""
    return c.SetMeter(who, args.site, args.public_key, args.heartbeat_s)


def meter_terms(made: c.SetMeter, _: Measures) -> r.MeterTerms:
    """The wire form of SetMeter."""
    return r.MeterTerms(
        participant=made.participant, site=made.site, public_key=made.public_key_hex, heartbeat_s=made.heartbeat_s
    )


def access_of(args: r.AccessTerms, who: str, _: Measures) -> c.GiveAccess:
    """GiveAccess."""
    return c.GiveAccess(who, args.lease_id, args.access)


def access_terms(made: c.GiveAccess, _: Measures) -> r.AccessTerms:
    """The wire form of GiveAccess."""
    return r.AccessTerms(participant=made.participant, lease_id=made.lease, access=made.access)


def result_of(args: r.ResultTerms, who: str, _: Measures) -> c.ReturnResult:
    """ReturnResult."""
    return c.ReturnResult(who, args.lease_id, args.exit_code, args.output, args.is_final)


def result_terms(made: c.ReturnResult, _: Measures) -> r.ResultTerms:
    """The wire form of ReturnResult."""
    return r.ResultTerms(
        participant=made.participant, lease_id=made.lease, exit_code=made.exit_code, output=made.output, is_final=made.is_final
    )


def probe_of(args: r.ProbeTerms, _: str, m: Measures) -> c.ProbeReading:
    """ProbeReading."""
    return c.ProbeReading(args.probe, args.obligation_id, m.lots(args.delivered_cards, "delivered_cards"))


def probe_terms(made: c.ProbeReading, m: Measures) -> r.ProbeTerms:
    """The wire form of ProbeReading."""
    return r.ProbeTerms(
        probe=made.probe, obligation_id=made.obligation_id, delivered_cards=m.cards_text(made.delivered_lots)
    )
