"""Signatures of readings, verified where they come in: a reading that its site's meter has not signed is turned away."""

from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exchange.engine import queries
from exchange.engine.handle import Handle
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.signed import reading_text


def check_reading(handle: Handle, reading: Any) -> None:
    """DoorError BAD_SIGNATURE for a reading whose signature is not the meter's; that one is missing is the venue's to say."""
    meter = queries.meter_of(handle.venue, reading.obligation_id, reading.participant)
    if meter is None or not reading.signature:
        return
    site, public_key_hex = meter
    text = reading_text(site, reading.obligation_id, reading.number, reading.delivered_lots)
    if not is_signed(public_key_hex, text, reading.signature):
        detail = f"the signature is not that of the meter of {site} over {text}"
        raise DoorError(DoorReason.BAD_SIGNATURE, detail, field="signature")


def is_signed(public_key_hex: str, text: str, signature_hex: str) -> bool:
    """Whether this is the key's Ed25519 signature of the text; a key or signature that is none is none of it."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key_hex))
        key.verify(bytes.fromhex(signature_hex), text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True
