"""Requests drawn by schemathesis from the live OpenAPI document: no server error, nothing that the document does not say.

`positive_data_acceptance` is off: a request that fits the schema may still name an instrument that is not there. The key is
the operator's with every scope, so nothing is fenced off; `revoke_key` has a run of its own, since it would end that key.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from world import offer, order, running_world, task

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


def fuzz(world, secret, *options):
    """What the tool says; its exit code is 0 where every check held. It leaves notes where it runs, so not in the clone."""
    command = [
        str(TOOL),
        "run",
        f"{world.server.url}/openapi.json",
        "-H",
        f"Authorization: Bearer {secret}",
        *CHECKS,
        *STEADY,
    ]
    return subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        timeout=3_000,
        check=False,
        cwd=world.server.folder.parent,
    )


def run(tmp_path, examples, seed):
    if not TOOL.exists():
        pytest.skip("schemathesis is not installed (extra dev)")
    with running_world(tmp_path / "exchange") as world:
        world.do("place_offer", "seller", offer("o1"))
        world.do("submit_task", "buyer", task("t1"))
        world.do("place_order", "buyer", order("b1"))
        second = world.do("create_key", "", scopes=["read", "trade", "provide", "operate"])["secret"]
        third = world.do("create_key", "", scopes=["operate"])["secret"]
        numbers = ("-n", str(examples), "--seed", str(seed))
        for secret, which in ((second, "--exclude-operation-id"), (third, "--include-operation-id")):
            done = fuzz(world, secret, *numbers, which, "revoke_key")
            told = "\n".join(line[:600] for line in done.stdout.splitlines())
            assert done.returncode == 0, told[-12_000:]
            assert "No failures" in told or "generated" in told, told
        assert world.ask("health", None).data["status"] == "ok"
        assert '"error"' not in world.server.log and "Traceback" not in world.server.log, world.server.log[
            -4_000:
        ]


@pytest.mark.slow
def test_a_sample_of_drawn_requests(tmp_path):
    run(tmp_path, 2, 1)


@pytest.mark.soak
def test_many_drawn_requests(tmp_path):
    run(tmp_path, int(os.environ.get("CPX_FUZZ_EXAMPLES", "300")), int(os.environ.get("CPX_FUZZ_SEED", "7")))
