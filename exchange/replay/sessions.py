"""Keys and open sockets of many participants: each acts through his own, and only so many are open at a time."""

import asyncio
import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from clients import AsyncClient
from clients.core import VALID_FOR_S

OPEN_AT_ONCE = 64
SCOPES = ("read", "trade", "provide")
TOO_LONG_FOR_A_FRAME = frozenset(("load_catalogue",))


class Sessions:
    """A client for every participant, connected when first needed; the longest unused one is closed for the next.

    Keys are made by the operator and kept in `known`, which a caller may save: a key outlives the server's restarts.
    """

    def __init__(
        self, url: str, operator_key: str, *, label: str, known: Mapping[str, str] | None = None,
        open_at_once: int = OPEN_AT_ONCE, valid_for_s: int | None = VALID_FOR_S,
    ) -> None:  # fmt: skip
        """label: of the keys that are made; open_at_once: more than act at the same time; valid_for_s: as of AsyncClient."""
        self.known = dict(known or {})
        self._url, self._label, self._open_at_once = url, label, open_at_once
        self._valid_for_s = valid_for_s
        self._open: OrderedDict[str, AsyncClient] = OrderedDict()
        self._dead: list[AsyncClient] = []  # others may still wait for an answer there, and hear from it why none comes
        self._one_at_a_time: dict[str, asyncio.Lock] = {}  # a participant gets one key, whoever needs it first
        self.operator = self._client(operator_key)
        self.operator_rest = AsyncClient(url=url, key=operator_key, valid_for_s=valid_for_s)  # for what fits no frame

    async def of(self, participant: str) -> AsyncClient:
        """The session of a participant, who must exist; "" is the operator. CpxError where no key can be made."""
        if participant == "":
            return self.operator
        client = self._open.get(participant)
        if client is None:
            secret = await self._secret(participant)
            client = self._open.get(participant)  # somebody may have been faster meanwhile
            if client is None:
                client = self._open[participant] = self._client(secret)
        self._open.move_to_end(participant)
        while len(self._open) > self._open_at_once:
            _, oldest = self._open.popitem(last=False)
            await oldest.close()
        return client

    def _client(self, secret: str) -> AsyncClient:
        return AsyncClient(url=self._url, key=secret, session="socket", valid_for_s=self._valid_for_s)

    async def for_operation(self, participant: str, operation: str) -> AsyncClient:
        """The session of a participant; the operator's REST session for what is longer than a frame may be."""
        return self.operator_rest if operation in TOO_LONG_FOR_A_FRAME else await self.of(participant)

    def forget(self, participant: str, client: AsyncClient) -> None:
        """Drops a session and its key, which no longer opens; nothing where a new one is there already."""
        if self._open.get(participant) is client:
            del self._open[participant]
            self.known.pop(participant, None)
            self._dead.append(client)

    async def close(self) -> None:
        """Closes everything."""
        for client in (*self._open.values(), *self._dead, self.operator, self.operator_rest):
            await client.close()
        self._open.clear()
        self._dead.clear()

    async def _secret(self, participant: str) -> str:
        async with self._one_at_a_time.setdefault(participant, asyncio.Lock()):
            secret = self.known.get(participant)
            if secret is None:
                made = await self.operator.create_key(SCOPES, participant=participant, label=self._label)
                secret = self.known[participant] = made.secret
            return secret


def read_secrets(path: Path) -> dict[str, str]:
    """Participant -> secret; empty where there is no such file. ValueError where it is damaged."""
    if not path.exists():
        return {}
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise ValueError(f"{path} does not hold keys: remove it")
    return {str(name): str(secret) for name, secret in found.items()}


def write_secrets(path: Path, secrets: Mapping[str, str]) -> None:
    """Whole or not at all, readable by its owner only."""
    partial = path.with_name(f"{path.name}.tmp")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        json.dump(dict(sorted(secrets.items())), file)
    partial.replace(path)
