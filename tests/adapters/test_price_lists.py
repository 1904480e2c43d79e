"""Price lists as quotes, and the offers that they make for a trace."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.adapters.market_files import sites_from_offers
from exchange.adapters.price_lists import PriceLists, provider_code, read_price_lists
from exchange.adapters.rows import parse_time_ns
from exchange.adapters.trace_alibaba import Demand, import_trace
from exchange.adapters.trace_offers import HOUR_SHAPE, hour_prices, import_price_lists
from exchange.domain.commands import SetVenue
from exchange.domain.units import NS_PER_DAY, NS_PER_HOUR

CSV = "Cloud,InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuMemoryMiBEach,Price,SpotPrice,Region"
START = parse_time_ns("2026-01-05T00:00:00+08:00")
DAY = Demand(START, START, START + NS_PER_DAY, START + 2 * NS_PER_DAY, (("T4", 24 * 100),), ())


def csv_list(tmp_path: Path, *lines: str, header: str = CSV, name: str = "list.csv") -> PriceLists:
    path = tmp_path / name
    path.write_text("\n".join((header, *lines)) + "\n")
    return read_price_lists([path])


def json_list(tmp_path: Path, *providers: dict) -> PriceLists:
    path = tmp_path / "cloud_gpu.json"
    path.write_text(json.dumps({"data": providers}))
    return read_price_lists([path])


def quotes(lists: PriceLists) -> list[tuple[str, str, int]]:
    return [(quote.provider, quote.chip, quote.price_micro_usd) for quote in lists.quotes]


def test_a_price_is_per_card_whatever_the_instance_holds(tmp_path):
    lists = csv_list(tmp_path, "acme,x,H100,8,1,1,81920,23.60,,eu")
    assert quotes(lists) == [("provider-acme", "H100-SXM-80", 2_950_000)]


def test_memory_decides_which_chip_a_name_means(tmp_path):
    lists = csv_list(
        tmp_path, "a,x,V100,1,1,1,32768,2,,r", "b,x,V100,1,1,1,16160,1,,r", "c,x,A100,1,1,1,81920,3,,r",
        "d,x,A100,1,1,1,40960,2,,r", "e,x,A100,1,1,1,,2,,r", "f,x,H100,1,1,1,95830,2,,r", "g,x,RTX4090,1,1,1,,0.4,,r",
    )  # fmt: skip
    assert [(provider, chip) for provider, chip, _ in quotes(lists)] == [
        ("provider-a", "V100M32"), ("provider-b", "V100M16"), ("provider-c", "A100-SXM-80"), ("provider-g", "RTX4090"),
    ]  # fmt: skip
    assert dict(lists.skipped) == {"no_price": 0, "unknown_chip": 0, "other_memory": 3}


def test_entries_without_a_price_or_a_known_chip_are_skipped_and_counted(tmp_path):
    lists = csv_list(
        tmp_path, "a,x,T4,1,1,1,16384,0.00,,r", "a,x,T4,1,1,1,16384,,,r", "a,x,K80,1,1,1,12288,0.2,,r"
    )
    assert quotes(lists) == []
    assert dict(lists.skipped) == {"no_price": 2, "unknown_chip": 1, "other_memory": 0}
    lists = json_list(
        tmp_path, {"name": "A", "costt4": "-", "costv100": "", "costp100": None, "costk80": "$0.45"}
    )
    assert dict(lists.skipped) == {"no_price": 3, "unknown_chip": 1, "other_memory": 0}


def test_a_provider_lists_the_lower_median_of_its_prices(tmp_path):
    lists = csv_list(tmp_path, *(f"a,x,T4,1,1,1,16384,{price},,r" for price in ("0.9", "0.1", "0.3", "0.5")))
    assert quotes(lists) == [("provider-a", "T4", 300_000)]


def test_one_provider_written_two_ways_is_one(tmp_path):
    path = tmp_path / "lambda.csv"
    path.write_text(f"{CSV}\nlambda,x,H100,1,1,1,81920,3,,r\n")
    both = tmp_path / "cloud_gpu.json"
    both.write_text(json.dumps({"data": [{"name": "Lambda Cloud", "costt4": "$0.5"}]}))
    assert [quote.provider for quote in read_price_lists([path, both]).quotes] == [
        "provider-lambda-cloud"
    ] * 2
    assert provider_code("Vast.ai") == "provider-vast-ai"
    assert len(provider_code("x" * 99)) == 36


def test_a_list_without_a_cloud_column_belongs_to_the_one_in_its_file_name(tmp_path):
    header = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,TotalGpuMemoryInMiB,Price,SpotPrice,Region"
    line = '2x,H100,2,32,64,163118,3.73,0.00,"Thailand, TH, AS"'
    lists = csv_list(tmp_path, line, header=header, name="vast_v8_vms_compact.csv")
    assert quotes(lists) == [("provider-vast", "H100-SXM-80", 1_865_000)]


@pytest.mark.parametrize(
    ("provider", "column", "code"),
    [
        ({"name": "A", "costt4": "$1e9"}, "data[0].costt4", "number"),
        ({"name": "A", "costt4": "$-1"}, "data[0].costt4", "too_large"),
        ({"name": "", "costt4": "$1"}, "data[0].name", "missing"),
        ("A", "data[0].name", "missing"),
    ],
)
def test_a_bad_entry_of_a_json_list_is_told(tmp_path, provider, column, code):
    problems = json_list(tmp_path, provider).problems
    assert [(problem.column, problem.code) for problem in problems] == [(column, code)]


def test_a_file_that_is_no_price_list_is_told(tmp_path):
    lists = csv_list(tmp_path, header="sn,cpu_milli,memory_mib,gpu,model")
    assert [problem.code for problem in lists.problems] == ["unknown_header"]


def test_nights_are_cheaper_than_evenings():
    prices = hour_prices(10_000_000, START, START + NS_PER_DAY, SetVenue(name="x"))
    assert len(HOUR_SHAPE) == 24 and prices == tuple(permille * 10_000 for permille in HOUR_SHAPE)
    assert prices[3] < prices[12] < prices[20]
    assert len(hour_prices(10_000, START, START + NS_PER_DAY, SetVenue(name="x", period_min=15))) == 96


def many_lists(tmp_path: Path) -> list[Path]:
    path = tmp_path / "cloud_gpu.json"
    providers = [{"name": f"Cloud {n}", "costt4": f"$0.{30 + n}", "costv100": "$1"} for n in range(12)]
    path.write_text(json.dumps({"data": providers}))
    return [path]


def test_supply_follows_demand_and_its_ratio(tmp_path):
    paths = many_lists(tmp_path)
    small = sum(row.command.lots for row in import_price_lists(paths, DAY).rows)
    large = sum(row.command.lots for row in import_price_lists(paths, DAY, supply_permille=3_000).rows)
    assert 115 <= small <= 160 and 300 <= large <= 340


def test_the_largest_task_that_names_a_chip_finds_a_site_that_is_large_enough(tmp_path):
    def largest_site(named: tuple[tuple[str, int], ...]) -> int:
        sites: Counter[str] = Counter()
        for row in import_price_lists(many_lists(tmp_path), replace(DAY, largest_lots=named)).rows:
            sites[row.command.site] += row.command.lots
        return max(sites.values())

    assert largest_site(()) == 50  # 40 % of 115 lots, in whole cards
    assert largest_site((("T4", 80),)) == 80


def test_the_same_seed_gives_the_same_offers_whatever_the_order_of_lists(tmp_path):
    paths = many_lists(tmp_path)
    other = tmp_path / "more.csv"
    other.write_text(f"{CSV}\nacme,x,T4,1,1,1,16384,0.4,,r\n")
    assert import_price_lists([*paths, other], DAY) == import_price_lists([other, *paths], DAY)
    assert import_price_lists(paths, DAY, 1).rows != import_price_lists(paths, DAY, 2).rows


def test_a_chip_that_nobody_lists_is_told_and_not_offered(tmp_path):
    demand = Demand(START, START, START + NS_PER_DAY, START + 2 * NS_PER_DAY, (("MI300X", 10),), ())
    offers = import_price_lists(many_lists(tmp_path), demand)
    assert offers.rows == () and offers.problems == () and offers.unlisted == ("MI300X",)


@pytest.mark.slow
def test_the_public_lists_make_a_market_for_the_trace(shared_data):
    data = shared_data / "data"
    trace = import_trace(
        data / "tasks" / "openb_pod_list_gpuspec33.csv", data / "tasks" / "openb_node_list_gpu_node.csv"
    )
    offers = import_price_lists(sorted((data / "catalog").iterdir()), trace.demand)
    assert offers.problems == ()
    assert dict(offers.skipped) == {"no_price": 632, "unknown_chip": 215, "other_memory": 7}
    assert {row.command.chip for row in offers.rows} == {chip for chip, _ in trace.demand.lot_periods}
    assert 15 <= len({row.command.participant for row in offers.rows}) <= 44
    assert any(row.command.min_lots > 1 for row in offers.rows)
    assert any(row.command.period_prices_micro for row in offers.rows)
    assert all(row.command.end_ns - row.command.start_ns > 149 * 24 * NS_PER_HOUR for row in offers.rows)
    sites, _ = sites_from_offers(offers.rows)
    assert len(sites) == len({row.command.participant for row in offers.rows})
    for site in sites:  # BB1: a site's asks of one family agree on indivisible_ok
        assert len({row.command.indivisible_ok for row in offers.rows if row.command.site == site.site}) == 1
