"""`cpx serve`: where it listens, and what it does not start for."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.cli.serve import DEFAULT_PORT
from exchange.testing.server import running_server

pytestmark = pytest.mark.slow  # processes of their own

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60


def serve(*words, env=None):
    """One that is expected to end by itself."""
    command = [sys.executable, "-m", "exchange.cli", "serve", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, cwd=ROOT, env=env)


def listening(pid):
    """Local addresses on which a process listens, from the kernel's own table."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and cells[9] in inodes:
                found.add(cells[1].partition(":")[0])
    return found


def test_it_listens_on_this_machine_only_unless_told_otherwise(tmp_path):
    with running_server(tmp_path / "a") as server:
        assert listening(server.pid) == {"0100007F"}, "127.0.0.1 as the kernel writes it"
    with running_server(tmp_path / "b", "--host", "0.0.0.0") as server:
        assert listening(server.pid) == {"00000000"} and "plain HTTP" in server.log


def test_a_second_server_on_a_folder_is_told_who_has_it(tmp_path):
    with running_server(tmp_path / "a") as server:
        done = serve("--folder", tmp_path / "a", "--port", 0)
        assert done.returncode == 73 and str(server.pid) in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_port_that_was_asked_for_is_not_changed_and_the_usual_one_gives_way(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = serve("--folder", tmp_path / "a", "--port", taken.getsockname()[1])
        assert done.returncode == 73 and "--port" in done.stderr
    with socket.socket() as usual:
        try:
            usual.bind(("127.0.0.1", DEFAULT_PORT))
            usual.listen()
        except OSError:
            pass  # somebody has it already: as good
        command = [sys.executable, "-m", "exchange.cli", "serve", "--folder", str(tmp_path / "b"), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
            ready = json.loads(process.stdout.readline())
            process.terminate()
            assert process.wait(WAIT_S) == 0
        assert not ready["url"].endswith(f":{DEFAULT_PORT}")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--limit", "no_such=1"), 2, "there are body_bytes"),
        (("--limit", "order_rate=0"), 2, "order_rate"),
        (("--engine", "reference"), 69, "--allow-reference"),
        (("--database", "mysql://x/y"), 78, "sqlite"),
    ],
)
def test_what_it_does_not_start_for(tmp_path, words, code, said):
    done = serve("--folder", tmp_path / "a", "--port", 0, *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_it_does_not_begin_where_a_file_is(tmp_path):
    (tmp_path / "file").write_text("x")
    done = serve("--folder", tmp_path / "file", "--port", 0)
    assert done.returncode == 75 and "--folder" in done.stderr and "Traceback" not in done.stderr
