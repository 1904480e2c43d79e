"""The examples of the guide run, in their order, against a live exchange."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from live_market import LiveMarket, china, live_market
from typer.testing import CliRunner

from clients import AsyncClient
from exchange.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guides" / "sdk.md"


@pytest.fixture(scope="module")
def supplied(tmp_path_factory: pytest.TempPathFactory):
    with live_market(tmp_path_factory.mktemp("guide") / "market") as found:
        seller = found.client(found.seller_key)
        seller.offer(64, site="zw-1", chip="A910B", latency_class="L10", start=china(8), end=china(20), price="5.20")
        yield found


@pytest.mark.slow
def test_every_example_of_the_guide_runs(
    supplied: LiveMarket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CPX_URL", supplied.server.url)
    monkeypatch.setenv("CPX_KEY", supplied.buyer_key)
    monkeypatch.setenv("CPX_PROVIDER_KEY", supplied.seller_key)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) >= 10
    scope: dict[str, object] = {"__name__": "guide"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"sdk.md block {number}", "exec"), scope)
    said = capsys.readouterr().out
    for line in (
        "True 252.096", "filled 48/48 card-hours", "price: 5.2 is a float", "nearest prices: 5.20, 5.21", "WAITING", "CANCELED",
        "Bearer $CPX_KEY",
    ):  # fmt: skip
        assert line in said, line
    assert supplied.buyer_key not in said


@pytest.fixture(scope="module")
def two_sites(tmp_path_factory: pytest.TempPathFactory):
    with live_market(tmp_path_factory.mktemp("tasks guide") / "market") as found:
        found.operator.add_site("zw-2", participant="seller", region="gansu-qingyang")
        found.operator.attest_capacity("zw-2", chip="A910B", cards=10_000, start=china(0), end=china(0, "2026-12-05"))
        found.operator.attest_capacity("zw-1", chip="A910B", cards=10_000, start=china(0), end=china(0, "2026-12-05"))
        yield found


@pytest.mark.slow
def test_every_example_of_the_guide_to_tasks_runs(
    two_sites: LiveMarket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {
        "CPX_URL": two_sites.server.url, "CPX_KEY": two_sites.buyer_key, "CPX_PROVIDER_KEY": two_sites.seller_key,
        "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "150",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    text = (ROOT / "docs" / "guides" / "tasks.md").read_text(encoding="utf-8")
    scope: dict[str, object] = {"__name__": "guide"}
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.S)):
        exec(compile(block, f"tasks.md block {number}", "exec"), scope)
    said = capsys.readouterr().out
    for line in (
        "hours are listed so far", "ACCEPTED", "4.80 32 32 A910B/gansu-qingyang/L10/grid block of at least 8 x 2 h",
        "True zw-2 77.568 [('zw-2', Decimal('8'), True)]", "NO_DEPTH cards", "FILLED FILLED FILLED 20", "WAITING FILLED",
        "task FILLED",
    ):  # fmt: skip
        assert line in said, (line, said)
    (shell,) = re.findall(r"```sh\n(.*?)```", text, re.S)
    for line in shell.splitlines():
        words = line.removesuffix(" || true").replace("$CPX_PROVIDER_KEY", two_sites.seller_key).split()
        assert words.pop(0) == "cpx"
        done = CliRunner(env=environment).invoke(app, words)
        assert done.exit_code == (1 if line.endswith("|| true") else 0), (line, done.output)


@pytest.mark.slow
def test_every_example_of_the_guide_to_delivery_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with live_market(tmp_path / "market") as market:
        market.client(market.seller_key).offer(
            64, site="zw-1", chip="A910B", latency_class="L10", start=china(8), end=china(20), price="5.20"
        )
        monkeypatch.setenv("CPX_URL", market.server.url)
        monkeypatch.setenv("CPX_KEY", market.buyer_key)
        monkeypatch.setenv("CPX_PROVIDER_KEY", market.seller_key)
        text = (ROOT / "docs" / "guides" / "delivery.md").read_text(encoding="utf-8")
        scope: dict[str, object] = {"__name__": "guide"}
        blocks = re.findall(r"```python\n(.*?)```", text, re.S)
        assert len(blocks) >= 3
        for number, block in enumerate(blocks[:3]):
            if number == 2:
                market.operator.advance_time(china(8))  # the hour begins whose reading is given
            exec(compile(block, f"delivery.md block {number}", "exec"), scope)
        said = capsys.readouterr().out
        assert "sold () ()" in said and "A910B 8 " in said and "python train.py --epochs 3" in said
        buyer = market.client(market.buyer_key)
        (lease,) = buyer.leases()
        assert (lease.accesses[0].access, lease.results[0].output) == ("ssh -p 2201 job@gz-1.example", "3 epochs, loss 0.21")
        assert next(buyer.obligations()).reading == 1


@pytest.mark.slow
def test_the_example_of_the_readme_runs(
    supplied: LiveMarket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CPX_URL", supplied.server.url)
    monkeypatch.setenv("CPX_KEY", supplied.new_participant())
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    scope: dict[str, object] = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), scope)
    scope["cpx"].close()  # type: ignore[attr-defined]
    assert capsys.readouterr().out.splitlines()[-1] == "filled"


def test_the_table_of_methods_names_each_method_and_no_other() -> None:
    named: set[str] = set()
    for row in re.findall(r"^\| (?!to |anything|---)[a-z]+ \| (.*) \|$", GUIDE.read_text(encoding="utf-8"), re.M):
        if row.startswith("`"):
            named |= {word for cell in re.findall(r"`([^`]+)`", row) for word in cell.split()}
    ours = {name for name in dir(AsyncClient) if not name.startswith("_")}
    assert named == ours - {"call", "try_command", "close", "url", "clock"}
