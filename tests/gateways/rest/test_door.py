"""What the REST door tells beside answers: limits as they are reached, metrics, its description, the docs page."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from world import offer, order, running_world

from exchange.protocol.operations import OPERATIONS

pytestmark = pytest.mark.slow  # a live exchange, or a market day


def bearer(world, who=""):
    return {"Authorization": f"Bearer {world.keys[who]}"}


def test_headers_that_every_answer_has(world):
    seen = set()
    for reply in (
        world.ask("health", None),
        world.ask("account", None),
        world.send("GET", "/nowhere"),
        world.send("GET", "/docs"),
    ):
        assert (
            reply.headers["x-content-type-options"] == "nosniff"
            and reply.headers["cache-control"] == "no-store"
        )
        assert reply.headers["content-security-policy"].startswith("default-src 'none'")
        assert re.fullmatch(r"[0-9a-f]{16}", reply.headers["x-trace-id"])
        seen.add(reply.headers["x-trace-id"])
        assert "server" not in reply.headers
    assert len(seen) == 4


def test_every_kind_of_answer_is_json_with_its_type(world):
    assert world.ask("venue", "buyer").headers["content-type"] == "application/json"
    assert world.ask("venue", None).headers["content-type"] == "application/problem+json"
    problem = world.ask("venue", None).data
    assert problem["type"] == f"/v1/errors#{problem['reason']}" and problem["code"] == 705


@pytest.fixture(scope="module")
def tight(tmp_path_factory):
    """An exchange with small budgets."""
    folder = tmp_path_factory.mktemp("tight") / "exchange"
    options = []
    for limit in (
        "order_rate=1",
        "order_burst=3",
        "read_rate=1",
        "read_burst=4",
        "keyless_rate=1",
        "keyless_burst=6",
        "wrong_keys=2",
    ):
        options += ["--limit", limit]
    with running_world(folder, *options) as world:
        yield world


def test_an_empty_budget_is_a_429_and_cancels_still_go_through(tight):
    replies = [tight.ask("place_order", "buyer", order(f"l{n}")) for n in range(5)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
    assert replies[0].headers["ratelimit-policy"] == '"orders";q=3;w=3'
    assert replies[0].headers["ratelimit"] == '"orders";r=2;t=1' and replies[3].headers[
        "ratelimit"
    ].startswith('"orders";r=0')
    told = replies[3].data
    assert (told["reason"], told["limit"], told["retryable"], told["definite"]) == (
        "TOO_MANY_REQUESTS",
        "order_rate",
        True,
        True,
    )
    assert int(replies[3].headers["retry-after"]) == told["retry_after_s"] >= 1
    for n in range(3):
        assert tight.ask("cancel_order", "buyer", client_order_id=f"l{n}").data["status"] == "CANCELED"
    assert tight.ask("place_order", "other", order("l9")).status == 200, "another's budget is his own"
    assert tight.ask("deposit", "", participant="buyer", amount="1.00").status == 200, "the operator has none"


def test_reads_have_a_budget_of_their_own_for_all_keys_of_a_participant(tight):
    more = tight.do("create_key", participant="seller", scopes=["read"])["secret"]
    who = ["seller", more] * 3
    assert [tight.ask("account", each).status for each in who].count(200) in (4, 5)
    assert tight.ask("account", more).reason == "TOO_MANY_REQUESTS"
    assert tight.ask("place_offer", "seller", offer("l1")).status == 200


def test_bad_requests_count_as_well(tight):
    statuses = [tight.ask("preview_task", "other", {"nonsense": 1}).status for _ in range(6)]
    assert statuses[0] == 422 and statuses[-1] == 429


def test_without_a_key_it_is_counted_by_address_and_right_keys_pass(tight):
    statuses = [tight.ask("health", None).status for _ in range(9)]
    assert statuses[-1] == 429 and statuses.count(200) <= 8
    assert tight.send("GET", "/nowhere").status == tight.send("GET", "/v1//x").status == 429
    wrong = [tight.ask("account", "cpx_nope").reason for _ in range(5)]
    assert wrong == ["WRONG_KEY"] * 2 + ["TOO_MANY_REQUESTS"] * 3
    assert int(tight.ask("account", "cpx_nope").headers["retry-after"]) in range(30, 61)
    assert tight.ask("activity", "").status == 200


def test_the_limits_in_force_are_told(tight):
    told = {each["name"]: each["value"] for each in tight.do("limits", "")["items"]}
    assert (told["order_burst"], told["wrong_keys"], told["frame_bytes"]) == (3, 2, 65_536)


# --- metrics ---


def metrics(world) -> str:
    reply = world.send("GET", "/metrics", None, bearer(world))
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain; version=")
    return reply.body.decode()


def value(text: str, name: str) -> float:
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if re.match(rf"{re.escape(name)}[ {{]", line)
    )


def test_metrics_count_what_happens(world):
    before = metrics(world)
    world.do("place_order", "buyer", order("m1"))
    world.ask("place_order", None, order("m1"))
    world.send("GET", "/nowhere")
    after = metrics(world)
    for name, least in (
        ("cpx_commands_total", 1),
        ("cpx_frames_total", 1),
        ("cpx_seq", 1),
        ("cpx_fsync_seconds_count", 1),
    ):
        assert value(after, name) >= value(before, name) + least, name
    assert value(after, "cpx_seq") == world.do("health", None)["seq"] == value(after, "cpx_durable_seq")
    for status in (200, 401):
        assert f'cpx_http_requests_total{{operation="place_order",status="{status}"}}' in after
    assert 'operation="other",status="404"' in after and "nowhere" not in after, "names of the table only"
    assert value(after, "cpx_http_request_seconds_count") > value(before, "cpx_http_request_seconds_count")
    assert (
        "process_resident_memory_bytes" in after
        and "cpx_stored_seq" in after
        and "cpx_stream_connections" in after
    )


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not here (Debian: package prometheus)")
def test_prometheus_own_checker_finds_nothing(world):
    world.do("health", None)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics(world), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- what describes it ---


def test_the_description_has_every_operation_and_resolves(world):
    described = world.send("GET", "/openapi.json").data
    found = {
        each["operationId"]: (method.upper(), path)
        for path, methods in described["paths"].items()
        for method, each in methods.items()
    }
    assert found == {
        each.name: (each.method, each.path.replace(":path}", "}")) for each in OPERATIONS.values()
    }
    assert described["openapi"].startswith("3.1")
    names = set(described["components"]["schemas"])
    referred = set(
        re.findall(r'"#/components/schemas/(\w+)"', world.send("GET", "/openapi.json").body.decode())
    )
    assert referred == names, referred ^ names
    for each in OPERATIONS.values():
        route = described["paths"][found[each.name][1]][each.method.lower()]
        assert ("security" in route and route["security"] == []) == (each.scope == ""), each.name
        assert {"200", "429", "500", "503"} <= set(route["responses"])


class Loads(HTMLParser):
    """Everything that a page makes a browser load, and the scripts written into it."""

    def __init__(self):
        super().__init__()
        self.found, self.inline, self._in_script = [], [], False

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.found += [given[name] for name in ("src", "href", "data", "action", "srcset") if name in given]
        self._in_script = tag == "script" and "src" not in given

    def handle_data(self, data):
        if self._in_script and data.strip():
            self.inline.append(data)


def test_the_docs_page_loads_nothing_from_outside(world):
    page = world.send("GET", "/docs")
    loads = Loads()
    loads.feed(page.body.decode())
    assert (
        loads.found and not loads.inline and all(re.fullmatch(r"/docs/[\w.-]+", each) for each in loads.found)
    )
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["connect-src"] == "'self'"
    assert set(policy["img-src"].split()) <= {"'self'", "data:"}
    kinds = {}
    for each in loads.found:
        reply = world.send("GET", each)
        assert reply.status == 200 and len(reply.body) > 100
        kinds[each.rsplit(".", 1)[1]] = reply
    assert kinds["js"].headers["content-type"].startswith("text/javascript")
    start = world.send("GET", "/docs/start.js").body.decode()
    assert "http" not in start and 'url: "/openapi.json"' in start and "validatorUrl: null" in start
    styles = world.send("GET", "/docs/swagger-ui.css").body.decode()
    assert not re.findall(r"url\(\s*['\"]?(?:https?:)?//", styles) and "@import" not in styles
    script = world.send("GET", "/docs/swagger-ui-bundle.js").body.decode()
    assert not re.findall(r"(?:importScripts|import)\(\s*['\"`](?:https?:)?//", script)
    assert not re.findall(r"\.src\s*=\s*['\"`](?:https?:)?//", script)


def test_the_page_s_files_come_from_the_installation(world):
    theirs = files("fastapi_swagger").joinpath("resources", "swagger-ui-bundle.js").read_bytes()
    assert world.send("GET", "/docs/swagger-ui-bundle.js").body == theirs
    for bad in ("nothing.js", "..%2Fmain.py", "__init__.py", "%2e%2e"):
        assert world.send("GET", f"/docs/{bad}").status == 404
