"""A real exchange in a process of its own, for tests: real journal, real database, real sockets on a free port."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0


class ServerDied(Exception):
    """The server ended by itself; the message has what it wrote."""


class Server:
    """One `cpx serve` on a folder; start it again after `stop` or `kill` and it goes on where the journal ends."""

    def __init__(self, folder: Path, options: Sequence[str] = (), log: Path | None = None) -> None:
        """log: where its stderr goes; by default beside the folder."""
        self.folder = folder
        self.options = list(options)
        if os.environ.get("CPX_ENGINE") == "reference" and "--allow-reference" not in self.options:
            self.options.append("--allow-reference")  # who chose it for a test knows that it is slow
        self.url = ""
        self.operator_key = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._log = log or folder.parent / f"{folder.name}.serve.log"

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running().pid

    @property
    def log(self) -> str:
        """What the server wrote to stderr so far."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def start(self) -> "Server":
        """Returns when it takes requests; ServerDied if it ends before that."""
        port = self.url.rpartition(":")[2] if self.url else "0"
        command = [
            sys.executable, "-m", "exchange.cli", "serve", "--folder", str(self.folder), "--port", port, "--json",
            *self.options,
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        ready = self._first_line(self._process)
        self.url = ready["url"]
        self.operator_key = Path(ready["operator_key_file"]).read_text(encoding="ascii").strip()
        return self

    def stop(self) -> int:
        """Asks it to end and waits; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is told."""
        self._end(signal.SIGKILL)

    def wait(self, timeout_s: float = STOP_WITHIN_S) -> int:
        """Until it has ended by itself; its exit code."""
        return self._running().wait(timeout_s)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server was not started"
        return self._process

    def _end(self, how: signal.Signals) -> int:
        process = self._running()
        if process.poll() is None:
            process.send_signal(how)
        try:
            code = process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerDied(f"the server did not end within {STOP_WITHIN_S:.0f} s:\n{self.log[-4000:]}") from None
        finally:
            if process.stdout is not None:
                process.stdout.close()
        return code

    def _first_line(self, process: subprocess.Popen[bytes]) -> dict[str, str]:
        """The ready line, a JSON object on stdout."""
        assert process.stdout is not None
        deadline = time.monotonic() + READY_WITHIN_S
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    process.kill()
                    raise ServerDied(f"the server was not ready within {READY_WITHIN_S:.0f} s:\n{self.log[-4000:]}")
                part = os.read(process.stdout.fileno(), 4096)
                if not part:
                    code = process.wait()
                    raise ServerDied(f"the server ended with code {code} before it was ready:\n{self.log[-4000:]}")
                line += part
        found: dict[str, str] = json.loads(line)
        return found


@contextmanager
def running_server(folder: Path, *options: str) -> Iterator[Server]:
    """A server that is stopped at the end, whatever happened."""
    server = Server(folder, options).start()
    try:
        yield server
    finally:
        process = server._process  # noqa: SLF001 - our own
        if process is not None and process.poll() is None:
            server.stop()
