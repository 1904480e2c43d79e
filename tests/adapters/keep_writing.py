"""A process that stores a pickled day command by command and tells how far it is, until somebody kills it."""

import pickle
import sys
from pathlib import Path

from exchange.adapters.store import Store


def main(url: str, pickled: Path, exchange_id: str, every: int) -> None:
    """Goes on behind what is stored; one line per transaction, one more at the end."""
    applied = pickle.loads(pickled.read_bytes())
    store = Store.open(url, bytes.fromhex(exchange_id))
    for place, item in enumerate(applied, 1):
        store.on_command(*item)
        if place % every == 0 and store.pending:
            store.flush()
            print(store.offset, flush=True)
    store.flush()
    print("end", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
