"""Keys in a file of their own beside the journal: who may come in is no market state (docs/decisions/0009).

Only the SHA-256 of a secret is kept. A secret is 256 random bits, so there is nothing to guess and no slow hash is needed.
Several processes may use the file (a server, `cpx keys`); what one of them changes the others see within 50 ms.
"""

import os
import secrets
import string
from collections.abc import Callable, Sequence
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from time import monotonic_ns, time_ns

from sqlalchemy import BigInteger
from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel, create_engine, select

from exchange.ports_access import KeyRow

FILE = "access.db"
OPERATOR_KEY_FILE = "operator.key"
ALL_SCOPES = ("read", "trade", "provide", "operate")
PREFIX = "cpx"
ID_LENGTH = 10
SECRET_BYTES = 32
_ID_LETTERS = string.ascii_lowercase + string.digits
_CHANGE_COUNTER = 24  # place in the header of an SQLite file; counts transactions, in the rollback journal mode used here
_NO_DIGEST = bytes(32)
LOOK_NS = 50_000_000  # so late a change by another process may be seen


class _Table(SQLModel, registry=registry()):
    """Not the registry of the projection: the two files have nothing in common."""


class KeyRecord(_Table, table=True):
    """One key; 0 = never."""

    __tablename__ = "keys"

    key_id: str = Field(primary_key=True)
    secret_sha256: bytes
    participant: str
    scopes: str  # with commas
    label: str
    created_ns: int = Field(sa_type=BigInteger)
    expires_ns: int = Field(sa_type=BigInteger)
    revoked_ns: int = Field(sa_type=BigInteger)

    def row(self) -> KeyRow:
        """Without what the secret was made to."""
        return KeyRow(
            key_id=self.key_id, participant=self.participant, scopes=tuple(self.scopes.split(",")), label=self.label,
            created_ns=self.created_ns, expires_ns=self.expires_ns, is_revoked=self.revoked_ns != 0,
        )  # fmt: skip


class KeyFile:
    """The keys of one folder; a `Keys`. Times are those of this machine, not of the venue: expiry is no market event."""

    def __init__(
        self, folder: Path, clock: Callable[[], int] = time_ns, look_clock: Callable[[], int] = monotonic_ns
    ) -> None:
        """Makes the file where there is none, mode 0600. look_clock never goes back: when the file was last looked at."""
        self._folder, self._clock = folder, clock
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE
        # Never closed before the engine: closing any descriptor of the file would let SQLite's own locks go.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(self._file, 0o600)
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 10})
        _Table.metadata.create_all(self._engine)
        self._look_clock = look_clock
        self._next_look_ns = 0  # 0: at the next question
        self._seen = b""
        self._known: dict[str, tuple[bytes, KeyRow]] = {}

    def create(
        self, participant: str, scopes: Sequence[str], label: str = "", expires_ns: int = 0
    ) -> tuple[KeyRow, str]:
        """A new key and its secret, which is kept nowhere; ValueError for scopes that are none."""
        if not scopes or not set(scopes) <= set(ALL_SCOPES):
            raise ValueError(f"scopes {scopes!r}: choose of {', '.join(ALL_SCOPES)}")
        return self._store(*self._draw(participant, scopes, label, expires_ns))

    def list(self, after: str = "", limit: int = 1000) -> Sequence[KeyRow]:
        """Keys by id, those after `after`."""
        with Session(self._engine) as session:
            wanted = select(KeyRecord).where(KeyRecord.key_id > after).order_by(KeyRecord.key_id).limit(limit)
            return [record.row() for record in session.exec(wanted)]

    def revoke(self, key_id: str) -> KeyRow | None:
        """Ends a key at once, for good; its row, or None where there is no such key."""
        with Session(self._engine) as session:
            record = session.get(KeyRecord, key_id)
            if record is None:
                return None
            if record.revoked_ns == 0:
                record.revoked_ns = self._clock()
                session.add(record)
                session.commit()
                self._next_look_ns = 0
            return record.row()

    def find(self, secret: str) -> KeyRow | None:
        """The key that this is the secret of; None where it is of none, or of one that is revoked or expired."""
        _prefix, _, rest = secret.partition("_")
        key_id = rest.partition("_")[0]
        if key_id not in self._known:
            self._next_look_ns = 0  # one that `cpx keys` has just made opens at once
        self._look()
        known = self._known.get(key_id)
        digest = sha256(secret.encode("utf-8", "surrogatepass")).digest()
        expected = known[0] if known else _NO_DIGEST
        return known[1] if compare_digest(digest, expected) and known and self._is_alive(known[1]) else None

    def is_alive(self, key_id: str) -> bool:
        """Whether a key that was found before still opens: neither revoked nor expired since."""
        self._look()
        known = self._known.get(key_id)
        return known is not None and self._is_alive(known[1])

    def first_operator_key(self) -> Path | None:
        """Where there is no key yet: makes one for the operator with every scope and leaves its secret in a file, 0600.

        The file first: a crash in between leaves no key, and the next start makes another.
        """
        if self.list(limit=1):
            return None
        record, secret = self._draw("", ALL_SCOPES, "first key of the operator", 0)
        path = self._folder / OPERATOR_KEY_FILE
        path.unlink(missing_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(file, f"{secret}\n".encode("ascii"))
            os.fsync(file)
        finally:
            os.close(file)
        self._store(record, secret)
        return path

    def close(self) -> None:
        """Lets the file go."""
        self._engine.dispose()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _draw(
        self, participant: str, scopes: Sequence[str], label: str, expires_ns: int
    ) -> tuple[KeyRecord, str]:
        key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(ID_LENGTH))
        secret = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
        record = KeyRecord(
            key_id=key_id, secret_sha256=sha256(secret.encode("ascii")).digest(), participant=participant,
            scopes=",".join(scope for scope in ALL_SCOPES if scope in scopes), label=label,
            created_ns=self._clock(), expires_ns=expires_ns, revoked_ns=0,
        )  # fmt: skip
        return record, secret

    def _store(self, record: KeyRecord, secret: str) -> tuple[KeyRow, str]:
        with Session(self._engine) as session:
            session.add(record)
            session.commit()
            self._next_look_ns = 0
            return record.row(), secret

    def _is_alive(self, row: KeyRow) -> bool:
        return not row.is_revoked and (row.expires_ns == 0 or row.expires_ns > self._clock())

    def _look(self) -> None:
        """Reads the keys again where anybody changed the file since; asked for every frame, so not each time.

        What this process changes is seen at once: whoever commits sets `_next_look_ns` to 0 afterwards, and it is moved on
        here before the file is read.
        """
        now_ns = self._look_clock()
        if now_ns < self._next_look_ns:
            return
        self._next_look_ns = now_ns + LOOK_NS
        counter = os.pread(self._file, 4, _CHANGE_COUNTER)
        if counter == self._seen:
            return
        with Session(self._engine) as session:  # waits for a writer that is at it
            self._known = {
                record.key_id: (record.secret_sha256, record.row()) for record in session.exec(select(KeyRecord))
            }
        self._seen = counter
