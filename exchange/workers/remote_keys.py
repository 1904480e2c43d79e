"""Keys as a worker knows them: each secret is asked of the venue once, and the venue says when a key has ended."""

import hashlib
from asyncio import Future, get_running_loop
from collections.abc import Callable, Sequence
from typing import NoReturn

from exchange.engine.feed_source import NotYet
from exchange.ports_access import KeyRow
from exchange.workers import frames as f

UNKNOWN_S = 1.0  # so long a wrong secret is known to be wrong
MOST_UNKNOWN = 1024


class RemoteKeys:
    """`Keys` without those methods that change any. Secrets are kept as hashes only."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        """write: sends a frame to the venue."""
        self._write = write
        self._rows: dict[bytes, KeyRow] = {}
        self._alive: set[str] = set()
        self._unknown: dict[bytes, float] = {}
        self._asked: dict[int, tuple[bytes, Future[None]]] = {}
        self._waiting: dict[bytes, Future[None]] = {}
        self._last_number = 0

    def find(self, secret: str) -> KeyRow | None:
        """The key of a secret, None where it opens nothing; NotYet while the venue has not answered."""
        name = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        row = self._rows.get(name)
        if row is not None:
            return row
        if get_running_loop().time() < self._unknown.get(name, 0):
            return None
        ready = self._waiting.get(name)
        if ready is None:
            ready = self._waiting[name] = get_running_loop().create_future()
            self._last_number += 1
            self._asked[self._last_number] = (name, ready)
            told = secret.encode("utf-8", "replace").decode()
            self._write(f.frame(f.FIND_KEY, f.FindKey(self._last_number, told)))
        raise NotYet(ready)

    def is_alive(self, key_id: str) -> bool:
        """Whether the venue has not said that it ended."""
        return key_id in self._alive

    def on_key(self, key: f.Key) -> None:
        """Whose a secret is."""
        name, ready = self._asked.pop(key.number)
        del self._waiting[name]
        if key.key_id:
            self._rows[name] = KeyRow(key.key_id, key.participant, tuple(key.scopes), "", 0)
            self._alive.add(key.key_id)
        else:
            if len(self._unknown) >= MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown[name] = get_running_loop().time() + UNKNOWN_S
        if not ready.done():
            ready.set_result(None)

    def on_ended(self, key_id: str) -> None:
        """A key was revoked or has expired."""
        self._alive.discard(key_id)
        self._rows = {name: row for name, row in self._rows.items() if row.key_id != key_id}

    def create(self, participant: str, scopes: Sequence[str], label: str = "", expires_ns: int = 0) -> NoReturn:
        """Not here."""
        raise NotImplementedError("keys are made at the main address")

    def list(self, after: str = "", limit: int = 1000) -> NoReturn:
        """Not here."""
        raise NotImplementedError("keys are listed at the main address")

    def revoke(self, key_id: str) -> NoReturn:
        """Not here."""
        raise NotImplementedError("keys are ended at the main address")
