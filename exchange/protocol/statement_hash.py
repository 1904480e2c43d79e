"""The hash of a day's statement: SHA-256 over plain lines that anybody can make again from the statement itself.

Each line is a JSON array of texts without blanks, ended by a line feed:

    ["cpx-statement-1", previous_hash, participant, day]
    ["opening", cash, held, escrow, margin, bond]
    [line_id, ts_ns, kind, counterparty, amount, reference, obligation_id, instrument]      one per line, in order
    ["closing", cash, held, escrow, margin, bond]

Amounts are texts as the wire has them. previous_hash is that of the participant's last day with activity before, "" for
his first.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

VERSION = "cpx-statement-1"
PURSES = ("cash", "held", "escrow", "margin", "bond")
LINE = ("line_id", "ts_ns", "kind", "counterparty", "amount", "reference", "obligation_id", "instrument")


def statement_hash(statement: Mapping[str, Any], previous_hash: str) -> str:
    """64 hexadecimal digits over a statement, as decoded from JSON, and the hash before it. KeyError where a field lacks."""
    digest = sha256()
    for row in _rows(statement, previous_hash):
        digest.update(row)
    return digest.hexdigest()


def _rows(statement: Mapping[str, Any], previous_hash: str) -> Iterator[bytes]:
    yield _row((VERSION, previous_hash, statement["participant"], statement["day"]))
    yield _row(("opening", *(statement["opening"][name] for name in PURSES)))
    for line in statement["lines"]:
        yield _row(line[name] for name in LINE)
    yield _row(("closing", *(statement["closing"][name] for name in PURSES)))


def _row(cells: Iterable[Any]) -> bytes:
    texts = [str(cell) for cell in cells]
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
