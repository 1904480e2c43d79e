"""A PostgreSQL server of our own for tests: from Debian's binaries, in a folder of its own, reachable by its socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

UNPRIVILEGED = ("postgres", "nobody")


def binaries() -> Path | None:
    """The newest installed server's programs; None where there are none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def who_may_run() -> tuple[list[str], int] | None:
    """(words in front of a command, owner of the files); None where root finds nobody else to run it as."""
    if os.geteuid() != 0:
        return [], os.geteuid()
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next((names[name] for name in UNPRIVILEGED if name in names), None)
    if entry is None or shutil.which("setpriv") is None:
        return None
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"], entry.pw_uid


def why_not() -> str:
    """Why no server can run here; "" when one can."""
    if binaries() is None:
        return "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
    return "" if who_may_run() else "root needs setpriv and an unprivileged user to run PostgreSQL"


class Server:
    """Started when made; `close` stops it and removes its folder."""

    def __init__(self) -> None:
        programs, runner = binaries(), who_may_run()
        assert programs and runner
        self._programs, (self._runner, owner) = programs, runner
        self.folder = Path(tempfile.mkdtemp(prefix="cpx-pg-"))
        os.chown(self.folder, owner, -1)
        self._databases = 0
        self._run("initdb", "-D", self.folder / "data", "-A", "trust", "-U", "cpx", "--locale=C", "-E", "UTF8", "-N")
        self.start()

    def _run(self, program: str, *words: object) -> None:
        command = [*self._runner, str(self._programs / program), *map(str, words)]
        # Into a file: the server keeps what it inherits open, and a pipe would never end.
        with (self.folder / "said").open("ab") as said:
            done = subprocess.run(command, stdout=said, stderr=said, cwd=self.folder, check=False)
        assert done.returncode == 0, (self.folder / "said").read_text()

    def start(self) -> None:
        """Returns when it takes connections."""
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=200"
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "data" / "log", "-o", options, "start")

    def stop(self) -> None:
        """As if it had crashed."""
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "immediate", "stop")

    def fresh_url(self) -> str:
        """A new, empty database."""
        self._databases += 1
        name = f"t{self._databases}"
        with psycopg.connect(host=str(self.folder), user="cpx", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://cpx@/{name}?host={self.folder}"

    def close(self) -> None:
        """No trace is left."""
        self.stop()
        shutil.rmtree(self.folder)
