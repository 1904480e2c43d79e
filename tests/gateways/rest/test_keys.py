"""Keys: made, found, ended, seen by other processes at once, and never kept in a form that opens a door."""

import subprocess
import sys
import threading

import pytest

from exchange.adapters.keys import ALL_SCOPES, FILE, OPERATOR_KEY_FILE, KeyFile
from exchange.gateways.access import (
    Access,
    PermissionTableError,
    route_permissions,
    socket_permissions,
    verify_complete,
)
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.operations import OPERATIONS, SCOPES


@pytest.fixture
def keys(tmp_path):
    made = KeyFile(tmp_path)
    yield made
    made.close()


def test_a_key_opens_until_it_is_revoked(keys):
    row, secret = keys.create("buyer", ("trade", "read"), "laptop")
    assert secret.startswith(f"cpx_{row.key_id}_") and len(secret) > 50
    assert (row.participant, row.scopes, row.label) == ("buyer", ("read", "trade"), "laptop")
    assert keys.find(secret) == row and keys.is_alive(row.key_id)
    ended = keys.revoke(row.key_id)
    assert ended.is_revoked and keys.revoke(row.key_id) == ended
    assert keys.find(secret) is None and not keys.is_alive(row.key_id)
    assert keys.revoke("nobody") is None


@pytest.mark.parametrize("bad", ["", "cpx", "cpx__", "x" * 300, "cpx_a_b", "\udcff", "cpx_\x00_", "Bearer"])
def test_what_is_no_secret_finds_nothing(keys, bad):
    keys.create("buyer", ("read",))
    assert keys.find(bad) is None


def test_one_wrong_character_anywhere_is_wrong(keys):
    _, secret = keys.create("buyer", ("read",))
    for place in range(len(secret)):
        other = "A" if secret[place] != "A" else "B"
        assert keys.find(secret[:place] + other + secret[place + 1 :]) is None


def test_the_prefix_is_part_of_the_secret(keys):
    _, secret = keys.create("buyer", ("read",))
    assert keys.find("xyz" + secret[3:]) is None


def test_an_expired_key_is_as_good_as_none(tmp_path):
    now_ns = [1_000]
    keys = KeyFile(tmp_path, clock=lambda: now_ns[0])
    row, secret = keys.create("buyer", ("read",), expires_ns=2_000)
    assert keys.find(secret) is not None
    now_ns[0] = 2_000
    assert keys.find(secret) is None and not keys.is_alive(row.key_id)
    keys.close()


def test_the_file_holds_no_secret_and_is_the_owner_s_only(keys, tmp_path):
    _, secret = keys.create("buyer", ("read",))
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in content and secret.split("_", 2)[2].encode() not in content
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    KeyFile(tmp_path).close()
    (tmp_path / FILE).chmod(0o644)
    KeyFile(tmp_path).close()
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_another_process_makes_and_ends_keys_and_it_is_seen_at_once(keys, tmp_path):
    def elsewhere(code):
        start = "import sys; from pathlib import Path; from exchange.adapters.keys import KeyFile"
        program = f"{start}\nk = KeyFile(Path(sys.argv[1]))\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    secret = elsewhere("print(k.create('buyer', ('read',))[1])")
    row = keys.find(secret)
    assert row is not None
    elsewhere(f"k.revoke({row.key_id!r})")
    assert keys.find(secret) is None and not keys.is_alive(row.key_id)


def test_many_threads_see_only_whole_keys(keys):
    made = []

    def make():
        made.extend(keys.create("buyer", ("read",)) for _ in range(10))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 40 and all(keys.find(secret) == row for row, secret in made)
    listed = [*keys.list(limit=25)]
    listed += keys.list(after=listed[-1].key_id, limit=25)
    assert [row.key_id for row in listed] == sorted(row.key_id for row, _ in made)


def test_the_first_key_of_the_operator_is_made_once(keys, tmp_path):
    path = keys.first_operator_key()
    assert path == tmp_path / OPERATOR_KEY_FILE and path.stat().st_mode & 0o777 == 0o600
    row = keys.find(path.read_text().strip())
    assert row.participant == "" and row.scopes == ALL_SCOPES == SCOPES
    assert keys.first_operator_key() is None
    path.unlink()
    assert keys.first_operator_key() is None, "a key that was taken away is not made again"


def test_scopes_that_are_none_are_refused(keys):
    for scopes in ((), ("admin",), ("read", "")):
        with pytest.raises(ValueError, match="scopes"):
            keys.create("buyer", scopes)
    assert not keys.list()


def test_access_tells_who_and_says_no_alike(keys):
    access = Access(keys)
    row, secret = keys.create("buyer", ("read", "operate"))
    principal = access.authenticate(secret)
    assert (principal.key_id, principal.participant) == (row.key_id, "buyer")
    access.check(principal, OPERATIONS["depth"])
    for name in ("place_order", "deposit"):  # operate in the hands of a participant opens nothing
        with pytest.raises(DoorError) as refused:
            access.check(principal, OPERATIONS[name])
        assert refused.value.reason is DoorReason.WRONG_SCOPE
    keys.revoke(row.key_id)
    told = []
    for ask in (
        lambda: access.authenticate(secret),
        lambda: access.authenticate("cpx_a_b"),
        lambda: access.authenticate("y" * 10**6),
    ):
        with pytest.raises(DoorError) as refused:
            ask()
        told.append(refused.value.problem())
    assert len(set(told)) == 1 and told[0].reason == "WRONG_KEY"
    with pytest.raises(DoorError) as refused:
        access.check(principal, OPERATIONS["depth"])
    assert refused.value.reason is DoorReason.WRONG_KEY


def test_the_permission_table_must_meet_the_doors_exactly():
    routes, operations = list(route_permissions()), list(socket_permissions())
    verify_complete(routes, operations)
    verify_complete([route for route in routes if route[0] != "WEBSOCKET"], None)
    for place in range(len(routes)):
        with pytest.raises(PermissionTableError, match="nowhere else"):
            verify_complete(routes[:place] + routes[place + 1 :], operations)
    for place in range(len(operations)):
        with pytest.raises(PermissionTableError, match="nowhere else"):
            verify_complete(routes, operations[:place] + operations[place + 1 :])
    with pytest.raises(PermissionTableError, match="GET /v1/secret is not in the permission table"):
        verify_complete([*routes, ("GET", "/v1/secret")], operations)
    with pytest.raises(PermissionTableError, match="operation backdoor is not in"):
        verify_complete(routes, [*operations, "backdoor"])
    with pytest.raises(PermissionTableError):
        verify_complete(routes, None)
