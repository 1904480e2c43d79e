"""What a participant asks for in case he can ask for nothing any more."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CancelAfter:
    """So many seconds after this, all plain orders of the participant are canceled; a later word replaces it, 0 ends it."""

    participant: str
    seconds: int
