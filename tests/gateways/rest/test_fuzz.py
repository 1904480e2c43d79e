"""Requests drawn by schemathesis from the live OpenAPI document: no server error, nothing that the document does not say.

The document is handed over with examples that name what is there, so that every question is answered and not only refused.
`positive_data_acceptance` is off: a request that fits the schema may still name an instrument that is not there. The key is
the operator's with every scope, so nothing is fenced off; `revoke_key` has a run of its own, since it would end that key.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from world import offer, order, running_world, task

from exchange.protocol.operations import OPERATIONS

TOOL = Path(sys.executable).with_name("schemathesis")
CHECKS = ("--checks", "all", "--exclude-checks", "positive_data_acceptance")
STEADY = (
    "--suppress-health-check",
    "all",
    "--warnings",
    "off",
    "--no-color",
    "--continue-on-failure",
    "--no-shrink",
)


# The example of a time in the document is noon of the 24th: a clock that is moved there leaves these open.
NIGHT = {"start": "2026-11-25T20:00:00+08:00", "end": "2026-11-26T00:00:00+08:00"}
PERIOD, INSTRUMENT = "2026-11-25T12:00:00Z", "A910B/hubei-wuhan/L1/grid/20261125T12"
NEED = {"deadline": NIGHT["end"], "earliest_start": NIGHT["start"]}
ANSWERED = [each.name for each in OPERATIONS.values() if each.method == "GET"] + ["preview_task"]


def live_things(world):
    """One of each kind that a question can name; args by operation."""
    world.do("place_offer", "seller", offer("o1", **NIGHT))
    assert world.do("submit_task", "buyer", task("t1", **NEED))["status"] == "FILLED"
    world.do("place_order", "buyer", order("b1", instrument=INSTRUMENT))
    report = world.do("start_report")["report_id"]
    deposited = world.do("statement", "buyer", day="2026-11-24")["lines"][0]["line_id"]
    buyer, seller = {"participant": "buyer"}, {"participant": "seller"}
    return {
        "depth": {"instrument": INSTRUMENT},
        "lane": {"access_region": "hubei-wuhan", "chips": ["A910B"], "period_start": PERIOD},
        "candles": {"interval": "1h", "chip": "A910B"},
        "curve": {"family": INSTRUMENT.rpartition("/")[0]},
        "indices": {"chip": "A910B"},
        "preview_task": task("p1", **NEED, **buyer),
        "task": {"client_order_id": "t1"} | buyer,
        "order": {"client_order_id": "b1"} | buyer,
        "unsold_hours": {"offer_id": "o1"} | seller,
        "account": buyer,
        "holds": buyer,
        "statement": {"day": "2026-11-24"} | buyer,
        "history": {"day": "2026-11-23", "channel": "trades"},
        "statement_file": {"day": "2026-11-24", "format": "csv", "language": "en", "tax": "6"} | buyer,
        "statement_line": {"day": "2026-11-24", "line_id": deposited} | buyer,
        "statement_days": buyer,
        "green_share": {"day": "2026-11-24"} | buyer,
        "due": {"period_start": PERIOD},
        "report": {"report_id": report},
    }


def with_examples(document, examples):
    """The document, with these args as the examples of their operations."""
    for operations in document["paths"].values():
        for operation in operations.values():
            args = examples.get(operation["operationId"])
            if args is None:
                continue
            for parameter in operation["parameters"]:
                parameter["schema"].pop("examples", None)
                if parameter["name"] in args:
                    parameter["example"] = args[parameter["name"]]
            if "requestBody" in operation:
                operation["requestBody"]["content"]["application/json"]["example"] = args
    return document


def answered(world):
    """How often each operation was answered with 2xx, by the server's own count."""
    page = world.send("GET", "/metrics", None, {"Authorization": f"Bearer {world.keys['']}"}).body.decode()
    found = Counter()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == "cpx_http_requests_total" and sample.labels["status"].startswith("2"):
                found[sample.labels["operation"]] += int(sample.value)
    return found


def fuzz(world, secret, *options):
    """What the tool says; its exit code is 0 where every check held. It leaves notes where it runs, so not in the clone."""
    folder = world.server.folder.parent
    command = [
        str(TOOL), "run", str(folder / "openapi.json"), "-u", world.server.url, "-H", f"Authorization: Bearer {secret}",
        *CHECKS, *STEADY, *options,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=3_000, check=False, cwd=folder)


def run(tmp_path, examples, seed):
    if not TOOL.exists():
        pytest.skip("schemathesis is not installed (extra dev)")
    with running_world(tmp_path / "exchange") as world:
        document = with_examples(world.send("GET", "/openapi.json").data, live_things(world))
        (tmp_path / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
        second = world.do("create_key", "", scopes=["read", "trade", "provide", "operate"])["secret"]
        third = world.do("create_key", "", scopes=["operate"])["secret"]
        numbers = ("-n", str(examples), "--seed", str(seed))
        before = answered(world)
        for secret, which in ((second, "--exclude-operation-id"), (third, "--include-operation-id")):
            done = fuzz(world, secret, *numbers, which, "revoke_key")
            told = "\n".join(line[:600] for line in done.stdout.splitlines())
            assert done.returncode == 0, told[-12_000:]
            assert "No failures" in told or "generated" in told, told
        good = answered(world) - before
        assert not (only_refused := [name for name in ANSWERED if not good[name]]), only_refused
        assert world.ask("health", None).data["status"] == "ok"
        assert '"error"' not in world.server.log and "Traceback" not in world.server.log, world.server.log[-4_000:]


@pytest.mark.slow
def test_a_sample_of_drawn_requests(tmp_path):
    run(tmp_path, 2, 1)


@pytest.mark.soak
def test_many_drawn_requests(tmp_path):
    run(tmp_path, int(os.environ.get("CPX_FUZZ_EXAMPLES", "300")), int(os.environ.get("CPX_FUZZ_SEED", "7")))
