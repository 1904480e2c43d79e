"""An exchange on this machine to try things on: the one that a program of yours has started, or a new one of our own."""

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

from clients.errors import CpxError, ExchangeNotAvailable

START_S, OPEN_S = 90.0, 60.0
LOOK_EVERY_S = 0.1
SCOPES = ("read", "trade", "provide")

_keepers: list["subprocess.Popen[bytes]"] = []  # each ends when this program does, since its standard input does


class Demo(NamedTuple):
    """A demo exchange and an account on it."""

    url: str
    key: str


def record_file() -> Path:
    """Where a running demo is written down, for this user alone."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "cpx" / "demo.json"


def open_demo(make: Any, *, money: int, speed: int, seed: int) -> Demo:
    """Attaches to the running demo or starts one; make: the sync client's class."""
    found = _running(make) or _start(speed, seed)
    url, key_file = found["url"], found["key_file"]
    operator_key = Path(key_file).read_text(encoding="ascii").strip()
    with make(url, operator_key) as operator:
        _until_open(operator)
        name = f"demo-{token_hex(4)}"
        operator.add_participant(name)
        operator.deposit(name, money)
        secret: str = operator.create_key(SCOPES, participant=name).secret
    return Demo(url, secret)


def _running(make: Any) -> dict[str, str] | None:
    """What the record says, where that is ours and somebody answers there."""
    record = record_file()
    try:
        if record.stat().st_uid != os.getuid():
            return None
        found: dict[str, str] = json.loads(record.read_text(encoding="utf-8"))
        with make(found["url"], "", timeout_s=2, patience_s=0) as anybody:
            anybody.health()
        return found if Path(found["key_file"]).is_file() else None
    except (OSError, ValueError, KeyError, CpxError):
        return None


def _start(speed: int, seed: int) -> dict[str, str]:
    folder = tempfile.mkdtemp(prefix="cpx-demo-")
    keeper = subprocess.Popen(
        [sys.executable, "-m", "clients.demo_keeper", folder, str(record_file()), str(speed), str(seed)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
    )  # fmt: skip
    _keepers.append(keeper)
    assert keeper.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(keeper.stdout, selectors.EVENT_READ)
        line = keeper.stdout.readline() if selector.select(START_S) else b""
    if not line:
        keeper.terminate()
        raise ExchangeNotAvailable(
            f"the demo exchange did not start within {START_S:.0f} s; try `cpx serve --demo` to see why"
        )
    ready = json.loads(line)
    return {"url": ready["url"], "key_file": ready["operator_key_file"]}


def _until_open(operator: Any) -> None:
    """Its participants open it: settings first, then what can be traded."""
    until = time.monotonic() + OPEN_S
    while True:
        try:
            operator.venue()
            if next(operator.instruments(), None) is not None:
                return
        except CpxError as error:
            if time.monotonic() > until:
                raise
            if error.reason not in ("REFUSED", "NOT_FOUND"):
                raise
        if time.monotonic() > until:
            raise ExchangeNotAvailable(f"the demo exchange has nothing to trade after {OPEN_S:.0f} s")
        time.sleep(LOOK_EVERY_S)
