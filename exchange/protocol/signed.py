"""What is signed: the one text of each, for who signs it and who verifies it."""


def reading_text(site: str, obligation_id: int, number: int, delivered_lots: int) -> str:
    """A reading as the meter of its site signs it (Ed25519 over this text in ASCII); lots, not cards."""
    return f"cpx-reading|{site}|{obligation_id}|{number}|{delivered_lots}"
