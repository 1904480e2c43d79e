"""What goes between the two parties of a lease: dispatch to the seller, access and results back to the buyer.

A lease is all obligations of one block; a plain trade and each part of a bulk task stand alone. On the wire it is named
by the number of its first obligation. Nobody but its parties is told of any of this.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from exchange.domain.commands import Task
from exchange.domain.commands_delivery import GiveAccess, ReturnResult
from exchange.domain.events import Acknowledged
from exchange.domain.events_delivery import AccessGiven, Dispatched, DispatchedHour, ResultReturned
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import LeaseNote, Obligation

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

MAX_ACCESS = 1_000
MAX_OUTPUT = 16_000
MAX_MESSAGES = 200  # accesses, and results, of one seller of one lease
MAX_EXIT_CODE = 1 << 31


def dispatch(v: Venue, numbers: Iterable[int], task: Task) -> None:
    """A task has bought these obligations: notes what they are for, and tells each seller what to run."""
    parts: dict[tuple[int, str, str], list[Obligation]] = {}
    for number in numbers:
        due = v.state.obligations[number]
        if due.lease not in v.state.leases:
            v.state.leases[due.lease] = LeaseNote(number, task.data_region if task.data_mb else "", task.data_mb, task.work)
        parts.setdefault((due.lease, due.seller, due.site), []).append(due)
    for dues in parts.values():
        _tell(v, dues)


def _tell(v: Venue, dues: list[Obligation]) -> None:
    """Tells a seller what he has to run of a lease at one site."""
    note = v.state.leases[dues[0].lease]
    if dues[0].seller not in note.sellers:
        note.sellers.append(dues[0].seller)
    note.finished.discard(dues[0].seller)  # there is more to run: a further result may come
    v.index_lease(dues[0].lease, note)
    v.emit(dispatched(v, note, dues))


def dispatched(v: Venue, note: LeaseNote, dues: list[Obligation]) -> Dispatched:
    """The dispatch of what one seller owes of a lease at one site."""
    dues = sorted(dues, key=lambda due: (due.period, due.number))
    first = dues[0]
    hours = tuple(DispatchedHour(due.number, v.periods.start(due.period), due.lots) for due in dues)
    return Dispatched(
        note.first, first.buyer, first.seller, first.site, v.state.families[first.family - 1].chip,
        v.instrument_code(first.family, first.period), hours, note.data_region, note.data_mb, note.work,
    )  # fmt: skip


def follow(v: Venue, new: Obligation, old: Obligation) -> None:
    """An obligation that takes over from another (made up, or a cover): its seller is told to run the same work."""
    known = v.state.leases.get(old.lease)
    if known is None:
        return
    if new.lease not in v.state.leases:
        v.state.leases[new.lease] = LeaseNote(new.number, known.data_region, known.data_mb, known.work)
    _tell(v, [new])


def forget(v: Venue) -> None:
    """Drops the notes of leases whose last obligation a command has settled."""
    for lease in sorted(v.ended_leases):
        if lease not in v.obligations_of_lease and (note := v.state.leases.pop(lease, None)):
            v.forget_lease(lease, note)
    v.ended_leases.clear()


def give_access(v: Venue, command: GiveAccess) -> None:
    """GiveAccess: the seller of a lease tells its buyer how to reach the cards; a later word replaces an earlier one."""
    lease, due = _own_lease(v, command.lease, command.participant)
    _readable(command.access, "access", MAX_ACCESS, shortest=1)
    note = _note(v, lease, due)
    note.accesses[due.seller] = _counted(note.accesses, due.seller)
    v.emit(Acknowledged("GiveAccess", command.lease))
    v.emit(AccessGiven(note.first, due.buyer, due.seller, command.access))


def return_result(v: Venue, command: ReturnResult) -> None:
    """ReturnResult: the seller of a lease tells its buyer what the work has put out; nothing follows a final one."""
    lease, due = _own_lease(v, command.lease, command.participant)
    _readable(command.output, "output", MAX_OUTPUT)
    if not -MAX_EXIT_CODE <= command.exit_code < MAX_EXIT_CODE:
        raise Refusal(VenueReason.INVALID_QTY, "an exit code has 32 bits")
    known = v.state.leases.get(lease)
    if known and due.seller in known.finished:
        raise Refusal(VenueReason.DUPLICATE_ID, "the final result of this lease was returned before")
    note = _note(v, lease, due)
    note.results[due.seller] = _counted(note.results, due.seller)
    if command.is_final:
        note.finished.add(due.seller)
    v.emit(Acknowledged("ReturnResult", command.lease))
    v.emit(ResultReturned(note.first, due.buyer, due.seller, command.exit_code, command.output, command.is_final))


def is_readable(text: str, longest: int) -> bool:
    """Whether a text is short enough and has no control characters but line ends and tabs."""
    return len(text) <= longest and not any(_is_control(letter) for letter in text)


def _is_control(letter: str) -> bool:
    if letter < " ":
        return letter not in "\n\r\t"
    return "\x7f" <= letter <= "\x9f" or "\ud800" <= letter <= "\udfff"


def _readable(text: str, what: str, longest: int, shortest: int = 0) -> None:
    if len(text) < shortest or not is_readable(text, longest):
        message = f"{what} must have {shortest} to {longest:,} characters and no control characters"
        raise Refusal(VenueReason.INVALID_TEXT, message)


def _own_lease(v: Venue, reference: str, seller: str) -> tuple[int, Obligation]:
    """(key, one of his obligations) of a lease that this participant delivers; a foreign one answers like an unknown one."""
    v.participant(seller)
    lease = v.lease_of_reference(reference)
    for number in sorted(v.obligations_of_lease.get(lease, ())):
        due = v.state.obligations[number]
        if due.seller == seller:
            return lease, due
    raise Refusal(VenueReason.UNKNOWN_OBLIGATION, f"{seller} delivers no lease {reference[:36]!r}", "see the dispatches list")


def _note(v: Venue, lease: int, due: Obligation) -> LeaseNote:
    """The note of a lease; a plain trade gets one when something is first told of it."""
    note = v.state.leases.get(lease)
    if note is None:
        note = v.state.leases[lease] = LeaseNote(due.number, sellers=[due.seller])
        v.index_lease(lease, note)
    return note


def _counted(counts: dict[str, int], seller: str) -> int:
    if counts.get(seller, 0) >= MAX_MESSAGES:
        raise Refusal(VenueReason.INVALID_QTY, f"{MAX_MESSAGES} of these were sent for this lease already")
    return counts.get(seller, 0) + 1
