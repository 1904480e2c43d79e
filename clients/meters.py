"""A site's meter: its key, and the signature it puts under a reading (docs/guides/delivery.md)."""

from decimal import Decimal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.times import Number
from exchange.protocol.signed import reading_text


class MeterKey:
    """An Ed25519 key of a site's meter. The secret stays with the meter; `public_key` goes to `set_meter`."""

    def __init__(self, secret: str | None = None) -> None:
        """secret: 64 hex digits, as `secret` gave them; None makes a new key."""
        kind = Ed25519PrivateKey
        self._key = kind.generate() if secret is None else kind.from_private_bytes(bytes.fromhex(secret))

    @property
    def secret(self) -> str:
        """The secret as 64 hex digits: keep it where only the meter reads it."""
        return self._key.private_bytes_raw().hex()

    @property
    def public_key(self) -> str:
        """The public key as 64 hex digits."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, site: str, obligation_id: int, *, number: int, delivered_cards: Number, lot: Number) -> str:
        """The signature of a reading; lot: cards of one lot, as the venue says it (`venue().lot`)."""
        lots, rest = divmod(Decimal(str(delivered_cards)), Decimal(str(lot)))
        if rest or lots < 0:
            raise ValueError(f"{delivered_cards} cards are no whole number of lots of {lot}")
        return self._key.sign(reading_text(site, obligation_id, number, int(lots)).encode()).hex()
