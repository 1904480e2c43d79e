"""Keeps a demo exchange for as long as the program that wanted it runs: `demo_keeper.py FOLDER RECORD SPEED SEED`.

It reads its standard input until the end, which comes when that program ends, however it does; then it asks the exchange to
stop, waits for it, and takes away its folder and the record by which others find it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

STOP_S = 30.0


def main(folder: Path, record: Path, speed: str, seed: str) -> int:
    """The exchange's exit code."""
    command = [
        sys.executable, "-m", "exchange.cli", "serve", "--demo", "--folder", str(folder / "exchange"), "--port", "0",
        "--speed", speed, "--seed", seed, "--json",
    ]  # fmt: skip
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_by_signal)
    with (folder / "serve.log").open("ab") as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, process_group=0)
    threading.Thread(target=_end_with, args=(server,), daemon=True).start()
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        if line:
            _publish(record, json.loads(line))
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            with suppress(OSError, KeyboardInterrupt):
                while os.read(0, 4096):
                    continue
    finally:
        code = _stop(server)
        _withdraw(record, folder)
        shutil.rmtree(folder, ignore_errors=True)
    return code


def _end_with(server: "subprocess.Popen[bytes]") -> None:
    """An exchange that has ended by itself leaves nothing to keep."""
    server.wait()
    os.kill(os.getpid(), signal.SIGTERM)


def _end_by_signal(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _publish(record: Path, ready: dict[str, str]) -> None:
    """Where it is, for other programs of the same user."""
    record.parent.mkdir(parents=True, exist_ok=True)
    part = record.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({"url": ready["url"], "key_file": str(Path(ready["operator_key_file"]).absolute())}, file)
    part.replace(record)


def _withdraw(record: Path, folder: Path) -> None:
    with suppress(OSError, ValueError):
        if str(folder) in json.loads(record.read_text(encoding="utf-8"))["key_file"]:
            record.unlink()


def _stop(server: "subprocess.Popen[bytes]") -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with suppress(ProcessLookupError):
        server.terminate()
    try:
        return server.wait(STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
