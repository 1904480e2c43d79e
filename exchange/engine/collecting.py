"""Work that makes very many small objects and no cycles: the collector would only walk over all of them, again and again.

What the venue keeps are millions of such objects that stay. A walk over all of them stops the loop for as long as a hundred
orders take, and finds nothing; cycles are made by connections and failures, and those are found while they are young.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Objects more than before until the young are looked at, and how often those until the older ones are, and the oldest:
# all that live at every four millionth.
CALM = (10_000, 20, 20)


@contextmanager
def uncollected() -> Iterator[None]:
    """No automatic collections meanwhile."""
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_collecting:
            gc.enable()


def calm() -> None:
    """For a process that serves, once it is up: what is there now is never looked at again, and what lives long seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*CALM)
