"""The bundled catalogue: facts it must show, and how a folder with mistakes is refused."""

import importlib.util
from pathlib import Path

import pytest

from exchange.adapters.catalogue_files import (
    BUNDLED,
    CHIP_ALIASES,
    CLASS_LIMIT_US,
    DataError,
    chip_code,
    load_catalogue,
    load_tariff,
)
from exchange.domain.catalogue import Catalogue, load

MAKER = Path(__file__).with_name("make_catalogue.py")
HUBS = 8
CATALOGUE = load_catalogue()
KIND = {region.code: region.kind for region in CATALOGUE.regions}
RTT = {(row.access_region, row.host_region, row.latency_class): row.rtt_us for row in CATALOGUE.reach}
CLUSTERS = sorted(code for code, kind in KIND.items() if kind == "cluster")
HUBEI = sorted(code for code in KIND if code.startswith("hubei-"))


def fastest_us(access: str, host: str) -> int:
    return min(rtt for (a, h, _), rtt in RTT.items() if (a, h) == (access, host))


def test_there_are_ten_clusters_in_eight_hubs():
    assert len(CLUSTERS) == 10
    assert len({region.hub for region in CATALOGUE.regions if region.kind == "cluster"}) == HUBS
    assert {"gansu-qingyang", "ningxia-zhongwei", "guizhou-guian"} <= set(CLUSTERS)


def test_wuhan_reaches_all_ten_clusters_within_10_ms():
    assert all(fastest_us("hubei-wuhan", cluster) <= 10_000 for cluster in CLUSTERS)


def test_wuhan_reaches_key_yangtze_cities_within_7_ms():
    assert fastest_us("hubei-wuhan", "chongqing") == 7_000
    assert fastest_us("hubei-wuhan", "yangtze-wuhu") == 7_000
    assert fastest_us("nanjing", "hubei-wuhan") == 7_000


def test_hubei_is_reached_within_5_ms_and_a_city_within_1_ms():
    for access in HUBEI:
        for host in HUBEI:
            assert fastest_us(access, host) == (1_000 if access == host else 5_000)


def test_near_cities_reach_near_hubs_fast():
    assert fastest_us("guangzhou", "guangdong-shaoguan") == 5_000
    assert fastest_us("beijing", "hebei-zhangjiakou") == 5_000
    assert fastest_us("chengdu", "sichuan-tianfu") == 1_000
    assert fastest_us("guangzhou", "ningxia-zhongwei") > 20_000


def test_no_class_promises_more_than_its_name_and_slower_classes_are_never_faster():
    order = list(CLASS_LIMIT_US)
    for (access, host, name), rtt_us in RTT.items():
        assert rtt_us <= CLASS_LIMIT_US[name]
        for slower in order[order.index(name) + 1 :]:
            assert RTT[access, host, slower] >= rtt_us


def test_best_effort_and_a_link_exist_for_every_pair():
    links = {(link.from_region, link.to_region): link for link in CATALOGUE.links}
    for access in KIND:
        for host in KIND:
            assert (access, host) in links
            if KIND[host] != "access":
                assert (access, host, "BE") in RTT
    assert all(
        (link.price_micro_per_gb == 0) == (link.from_region == link.to_region) for link in CATALOGUE.links
    )


def test_two_terabytes_move_within_an_hour_on_every_link():
    assert all(2_000_000 * 8 / link.mbit_per_s <= 3_600 for link in CATALOGUE.links)


def test_the_venue_takes_the_bundled_catalogue():
    assert len(load(CATALOGUE, Catalogue()).chips) == 16


def test_every_alias_leads_to_a_chip_of_the_catalogue():
    codes = frozenset(chip.code for chip in CATALOGUE.chips)
    assert all(chip_code(alias, codes) == code for alias, code in CHIP_ALIASES.items())
    assert chip_code("A910B", codes) == "A910B"
    assert chip_code("Z80", codes) == ""


def test_reach_and_links_are_what_their_rule_makes():
    spec = importlib.util.spec_from_file_location("make_catalogue", MAKER)
    assert spec is not None and spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    for name, text in maker.files().items():
        assert (BUNDLED / name).read_bytes() == text.encode(), f"run python {MAKER.name}"


def test_fees_follow_the_lane_and_shares_stay_within_the_whole():
    tariff = load_tariff(version=3, effective_ns=7)
    assert (tariff.version, tariff.effective_ns) == (3, 7)
    assert tariff.fee_standard_ppm == 5_000
    assert tariff.fee_economy_ppm * 2 == tariff.fee_standard_ppm
    assert tariff.fee_emergency_ppm == tariff.fee_standard_ppm * 2
    assert sum(share.ppm for share in tariff.shares if share.base == "moving") <= 1_000_000


def broken(tmp_path: Path, name: str, old: str, new: str) -> list[str]:
    for source in BUNDLED.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_catalogue(tmp_path)
        load_tariff(tmp_path)
    return [
        f"{problem.file}:{problem.line}:{problem.column}:{problem.code}" for problem in caught.value.problems
    ]


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("chips.csv", "T4,ai,0.065", "T4,ai,-0.065", "chips.csv:2:fp16_pflops:too_small"),
        ("chips.csv", "T4,ai,", "T4,quantum,", "chips.csv:2:family:choice"),
        ("chips.csv", "P100,ai", "T4,ai", "chips.csv:3:code:duplicate"),
        ("regions.csv", "cluster,114.886", "cluster,914.886", "regions.csv:2:longitude:too_large"),
        ("regions.csv", ",beijing-tianjin-hebei,", ",,", "regions.csv:2:hub:conflict"),
        ("reach.csv", "L1,1\n", "L1,2\n", "reach.csv:2:rtt_ms:too_large"),
        ("reach.csv", "hebei-zhangjiakou,hebei", "atlantis,hebei", "reach.csv:2:access_region:unknown_code"),
        ("links.csv", ",0.000,", ",-1,", "links.csv:2:price_per_gb:too_small"),
        ("tariff.csv", ",900000", ",990000", "tariff.csv:0:ppm:too_large"),
        ("tariff.csv", "region:{host}", "region:{hub}", "tariff.csv:2:recipient:code"),
        ("fees.csv", "economy,2500\n", "", "fees.csv:0:lane:missing"),
    ],
)
def test_nonsense_in_a_catalogue_is_named_by_file_line_and_column(tmp_path, name, old, new, expected):
    assert broken(tmp_path, name, old, new)[0] == expected


def test_a_link_may_say_how_much_it_takes_in_an_hour(tmp_path):
    for path in BUNDLED.glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        if path.name == "links.csv":
            head, first, second, *rest = text.splitlines()
            text = "\n".join((f"{head},gb_per_hour", f"{first},12.5", f"{second},", *(f"{line},0" for line in rest))) + "\n"
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    links = load_catalogue(tmp_path).links
    assert [link.mb_per_hour for link in links] == [12_500] + [0] * (len(links) - 1)
    assert broken(tmp_path, "links.csv", "mbit_per_s\n", "mbit_per_s,gb_per_day\n")[0].endswith("unknown_column")


def test_all_faults_of_a_folder_are_told_at_once(tmp_path):
    for name in ("chips.csv", "regions.csv", "reach.csv", "links.csv"):
        (tmp_path / name).write_text("nothing\n")
    with pytest.raises(DataError) as caught:
        load_catalogue(tmp_path)
    assert {problem.file for problem in caught.value.problems} == {
        "chips.csv",
        "regions.csv",
        "reach.csv",
        "links.csv",
    }
    assert "and" in str(caught.value) or len(caught.value.problems) <= 20
