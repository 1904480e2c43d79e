"""Writes regions' reach and links of the bundled catalogue from the rules of docs/guides/catalogue.md.

Run `python tests/adapters/make_catalogue.py` after a change of regions.csv; a test holds the files to it.
Distances are rounded to whole kilometres first and everything after is integer arithmetic, so any machine
writes the same.
"""

import csv
import math
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "exchange" / "data" / "catalogue"

EARTH_RADIUS_KM = 6371.0088
CLASS_MS = (("L1", 1), ("L5", 5), ("L7", 7), ("L10", 10))
BEST_EFFORT_US, BEST_EFFORT_US_PER_KM = 2_000, 13
LIT_PATH_US, LIT_PATH_US_PER_KM = 1_000, 11
SAME_CITY = (("chengdu", "sichuan-tianfu"), ("shanghai", "yangtze-green-zone"))
KEY_YANGTZE = ("yangtze-green-zone", "yangtze-wuhu", "chongqing", "shanghai", "nanjing")
NEAR_PRICE_MILLI, FAR_PRICE_MILLI, FAR_KM = 71, 142, 2_000
NEAR_KM = 400
MBIT_WITHIN, MBIT_NEAR, MBIT_FAR = 100_000, 25_000, 10_000


def read_regions(folder: Path = FOLDER) -> list[dict[str, str]]:
    with (folder / "regions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def distance_km(a: dict[str, str], b: dict[str, str]) -> int:
    lat_a, lat_b = math.radians(float(a["latitude"])), math.radians(float(b["latitude"]))
    half_lat = (lat_b - lat_a) / 2
    half_lon = math.radians(float(b["longitude"]) - float(a["longitude"])) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lon) ** 2
    return round(2 * EARTH_RADIUS_KM * math.asin(math.sqrt(chord)))


def fastest_class_ms(access: dict[str, str], host: dict[str, str]) -> int:
    """The quickest class that a pair has, in ms; 0 where it has only best effort."""
    a, h = access["code"], host["code"]
    if a == h or (a, h) in SAME_CITY or (h, a) in SAME_CITY:
        return 1
    if a.startswith("hubei-") and h.startswith("hubei-"):
        return 5
    if (a == "hubei-wuhan" and h in KEY_YANGTZE) or (h == "hubei-wuhan" and a in KEY_YANGTZE):
        return 7
    lit_us = LIT_PATH_US + LIT_PATH_US_PER_KM * distance_km(access, host)
    by_distance = next((ms for _, ms in CLASS_MS if lit_us <= ms * 1_000), 0)
    if (a == "hubei-wuhan" and host["kind"] == "cluster") or (
        h == "hubei-wuhan" and access["kind"] == "cluster"
    ):
        return by_distance or 10
    return by_distance


def reach_lines(regions: list[dict[str, str]]) -> list[str]:
    lines = ["access_region,host_region,latency_class,rtt_ms"]
    for access in regions:
        for host in regions:
            if host["kind"] == "access":
                continue
            fastest, slowest_us = fastest_class_ms(access, host), 0
            for name, ms in CLASS_MS:
                if fastest and ms >= fastest:
                    lines.append(f"{access['code']},{host['code']},{name},{ms}")
                    slowest_us = ms * 1_000
            best_effort = max(slowest_us, BEST_EFFORT_US + BEST_EFFORT_US_PER_KM * distance_km(access, host))
            lines.append(f"{access['code']},{host['code']},BE,{best_effort // 1000}.{best_effort % 1000:03d}")
    return lines


def link_lines(regions: list[dict[str, str]]) -> list[str]:
    lines = ["from_region,to_region,price_per_gb,mbit_per_s"]
    for source in regions:
        for target in regions:
            km = distance_km(source, target)
            milli = min(
                FAR_PRICE_MILLI, NEAR_PRICE_MILLI + (FAR_PRICE_MILLI - NEAR_PRICE_MILLI) * km // FAR_KM
            )
            speed = MBIT_NEAR if km <= NEAR_KM else MBIT_FAR
            if source["code"] == target["code"]:
                milli, speed = 0, MBIT_WITHIN
            lines.append(f"{source['code']},{target['code']},0.{milli:03d},{speed}")
    return lines


def files(folder: Path = FOLDER) -> dict[str, str]:
    """The text of every file that is made, by name."""
    regions = read_regions(folder)
    return {
        "reach.csv": "\n".join(reach_lines(regions)) + "\n",
        "links.csv": "\n".join(link_lines(regions)) + "\n",
    }


if __name__ == "__main__":
    for file_name, text in files().items():
        (FOLDER / file_name).write_text(text, encoding="utf-8", newline="\n")
