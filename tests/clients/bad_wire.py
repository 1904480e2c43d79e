"""A TCP proxy that misbehaves on demand: loses answers, cuts requests, refuses connections, lets answers come late."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class BadWire:
    """Forwards to an address; `plan` says what to do with the next connections, one entry each, then all goes well.

    lose: the request arrives, its answer does not. cut: half of the request is read, nothing is forwarded. And at any
    moment `lose_next_answer` cuts every connection when, after more was sent, the exchange answers. While `is_away` is set
    no connection comes about. From `grow_late` on answers take longer and longer.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.plan: list[str] = []
        self.connections = 0
        self.lost = 0
        self.is_away = False
        self.turned_away = 0
        self._late_since_s: float | None = None
        self._late_by_s = self._most_late_s = 0.0
        self._is_armed = self._is_sent = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_next_answer(self) -> None:
        """What is sent next arrives; what the exchange says after it is lost, with every connection."""
        with self._lock:
            self._is_armed, self._is_sent = True, False

    def go_away(self) -> None:
        """Cuts every connection, and lets none come about until is_away is unset."""
        self.is_away = True
        self.cut_all()

    def grow_late(self, by_s: float, most_s: float) -> None:
        """From now on each second adds so much to how late answers come, up to the most; 0 = on time again."""
        self._late_since_s = time.monotonic() if most_s else None
        self._late_by_s, self._most_late_s = by_s, most_s

    @property
    def late_s(self) -> float:
        """How late what the exchange says now will come."""
        since_s = self._late_since_s
        return 0.0 if since_s is None else min(self._most_late_s, (time.monotonic() - since_s) * self._late_by_s)

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
            if self.is_away:
                self.turned_away += 1
                _end(near)
                continue
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
        late: queue.Queue[tuple[float, bytes]] = queue.Queue()
        if not is_request:
            threading.Thread(target=self._deliver, args=(late, target), daemon=True).start()
        with suppress(OSError):
            while data := source.recv(65_536):
                if not is_request and (what == "lose" or self._must_lose()):
                    self.lost += 1
                    self.cut_all()
                    break
                if is_request and self._is_armed:
                    self._is_sent = True
                if is_request:
                    target.sendall(data)
                else:
                    late.put((time.monotonic() + self.late_s, data))
        _end(source)
        if is_request:
            _end(target)
        else:
            late.put((0.0, b""))

    @staticmethod
    def _deliver(late: queue.Queue[tuple[float, bytes]], target: socket.socket) -> None:
        """Answers, each when it is due; then the end."""
        never = threading.Event()
        with suppress(OSError):
            while (entry := late.get())[1]:
                never.wait(max(0.0, entry[0] - time.monotonic()))
                target.sendall(entry[1])
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
