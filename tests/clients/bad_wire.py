"""A TCP proxy that misbehaves on demand: loses answers, cuts requests, refuses connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class BadWire:
    """Forwards to an address; `plan` says what to do with the next connections, one entry each, then all goes well.

    lose: the request arrives, its answer does not. cut: half of the request is read, nothing is forwarded. And at any
    moment `lose_next_answer` cuts every connection when, after more was sent, the exchange answers.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.plan: list[str] = []
        self.connections = 0
        self.lost = 0
        self._is_armed = self._is_sent = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_next_answer(self) -> None:
        """What is sent next arrives; what the exchange says after it is lost, with every connection."""
        with self._lock:
            self._is_armed, self._is_sent = True, False

    def close(self) -> None:
        _end(self._listener)
        self.cut_all()

    def cut_all(self) -> None:
        with self._lock:
            sockets, self._open = self._open, set()
        for each in sockets:
            _end(each)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            what = self.plan.pop(0) if self.plan else "pass"
            if what == "cut":
                near.recv(40)
                self.lost += 1
                _end(near)
                continue
            try:
                far = socket.create_connection(self._upstream)
            except OSError:
                _end(near)
                continue
            with self._lock:
                self._open |= {near, far}
            threading.Thread(target=self._pump, args=(near, far, True, what), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False, what), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_request: bool, what: str) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if not is_request and (what == "lose" or self._must_lose()):
                    self.lost += 1
                    self.cut_all()
                    break
                if is_request and self._is_armed:
                    self._is_sent = True
                target.sendall(data)
        _end(source)
        _end(target)

    def _must_lose(self) -> bool:
        with self._lock:
            must = self._is_armed and self._is_sent
            if must:
                self._is_armed = False
            return must


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


@contextmanager
def bad_wire(url: str) -> Iterator[BadWire]:
    """A proxy that is closed at the end."""
    wire = BadWire(url)
    try:
        yield wire
    finally:
        wire.close()
