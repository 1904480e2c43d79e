"""A small exchange in a process of its own, with a manual clock, and the command line in this one."""

import json
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

START_NS = 1_795_451_400 * 10**9  # 2026-11-24T00:30:00+08:00
INSTRUMENT = "A910B/gansu-qingyang/L10/grid/20261123T18"  # 02:00 in Shanghai


def set_up(client):
    """A market with one seller's offer from 02:00 to 08:00; keys of the operator, anna (buys) and zhang (sells)."""
    from exchange.adapters.catalogue_files import load_catalogue, load_tariff
    from exchange.domain import commands as c
    from exchange.domain.units import MICRO, NS_PER_HOUR
    from exchange.protocol.measures import Measures
    from exchange.protocol.to_command import from_command

    settings = c.SetVenue(name="test market")
    begin, end = START_NS + 3 * NS_PER_HOUR // 2, START_NS + 15 * NS_PER_HOUR // 2
    for command in (
        c.AdvanceTime(START_NS), settings, load_catalogue(), load_tariff(),
        c.ListFamily("A910B", "gansu-qingyang", "L10", "grid"), c.ListFamily("H800", "hubei-wuhan", "L5", "grid"),
        c.AddParticipant("anna", "anna"), c.AddParticipant("zhang", "zhang"), c.AddParticipant("poor", "poor"),
        c.Deposit("anna", 100_000 * MICRO, "opening"), c.Deposit("zhang", 50_000 * MICRO, "opening"),
        c.PostBond("zhang", 5_000 * MICRO), c.AddSite("qy-1", "zhang", "gansu-qingyang"),
        c.AttestCapacity("qy-1", "A910B", 2_560, begin, begin + 96 * NS_PER_HOUR),
        c.PlaceOffer("zhang", "night", "qy-1", "A910B", "L10", "grid", 640, begin, end, 5_200_000),
    ):  # fmt: skip
        operation, arguments = from_command(command, Measures(settings))
        client.call(operation, **msgspec.structs.asdict(arguments))
    make = {"anna": ("read", "trade"), "zhang": ("read", "provide"), "poor": ("read", "trade"), "reader": ("read",)}
    keys = {}
    for name, scopes in make.items():
        whose = "anna" if name == "reader" else name
        keys[name] = client.call("create_key", participant=whose, scopes=scopes, label=name).secret
    return keys


@contextmanager
def exchange_in(folder):
    """(url, keys by name; "" is the operator's, folder) of a fresh exchange."""
    from clients import Client
    from exchange.testing.server import running_server

    with running_server(folder, "--clock", "manual", "--allow-reference") as server:
        with Client(url=server.url, key=server.operator_key) as operator:
            keys = set_up(operator)
        yield server.url, {"": server.operator_key, **keys}, folder


@pytest.fixture(scope="session")
def quiet_world(tmp_path_factory):
    """One that nobody changes."""
    with exchange_in(tmp_path_factory.mktemp("quiet") / "exchange") as world:
        yield world


@pytest.fixture
def world(tmp_path):
    """One for a single test."""
    with exchange_in(tmp_path / "exchange") as made:
        yield made


@pytest.fixture
def look(quiet_world, monkeypatch, tmp_path):
    """look("anna", "tasks", "--json") -> the command line's result as that participant; nothing may be changed."""
    return command_line(quiet_world, monkeypatch, tmp_path)


@pytest.fixture
def cpx(world, monkeypatch, tmp_path):
    """The same on an exchange of this test's own."""
    return command_line(world, monkeypatch, tmp_path)


def command_line(world, monkeypatch, folder):
    """The command line in this process, in an empty folder, as whoever is named; another name is taken for a key."""
    from typer.testing import CliRunner

    from exchange.cli.main import app

    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    url, keys, _ = world

    def run(who, *words):
        environment = {"COLUMNS": "120", "CPX_URL": url, "CPX_KEY": keys.get(who, who)}
        return CliRunner(env=environment).invoke(app, [str(word) for word in words])

    return run


@pytest.fixture
def golden():
    """golden("orders", text): equal to tests/cli/golden/orders.json, `…` there standing for what differs each time."""

    def check(name, text):
        path = Path(__file__).parent / "golden" / f"{name}.json"
        assert compare(json.loads(path.read_text(encoding="utf-8")), json.loads(text), name) == []

    return check


def compare(wanted, found, place):
    """Where two JSON values differ."""
    if wanted == "…":
        return [] if isinstance(found, str) and found else [f"{place}: {found!r} is no text"]
    if isinstance(wanted, dict) and isinstance(found, dict):
        if list(wanted) != list(found):
            return [f"{place}: keys {list(found)}, wanted {list(wanted)}"]
        return [line for key in wanted for line in compare(wanted[key], found[key], f"{place}.{key}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [line for i, (a, b) in enumerate(zip(wanted, found, strict=True)) for line in compare(a, b, f"{place}[{i}]")]
    return [] if wanted == found else [f"{place}: {found!r}, wanted {wanted!r}"]
