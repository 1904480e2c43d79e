"""A server's part of it: gives a pickled day to a link bit by bit and tells how far it is, until somebody kills it."""

import asyncio
import pickle
import sys
from pathlib import Path

from exchange.adapters.store import Store
from exchange.adapters.store_link import StoreLink


async def main(url: str, pickled: Path, exchange_id: str, every: int) -> None:
    """Goes on behind what is stored; one line per so many commands, one more at the end."""
    records = pickle.loads(pickled.read_bytes())
    link = StoreLink(Store.open(url, bytes.fromhex(exchange_id), lock_wait_s=60))
    await link.start()
    for place, told in enumerate(records, 1):
        link.on_record(*told)
        if place % every == 0 and link.pending:
            await link.wait_for(link.offset + 1, 60)
            print(link.offset, flush=True)
    await link.close()
    print("end", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
