"""The server does not start where a door and the permission table disagree; made from the parts that it really has."""

import pytest

from exchange.adapters.feed_days import FeedDays
from exchange.adapters.keys import KeyFile
from exchange.adapters.report_runs import ReportRuns
from exchange.gateways.access import Access, PermissionTableError, verify_complete
from exchange.gateways.limits import DoorBudgets, DoorLimits
from exchange.gateways.rest.app import build_app, routes_of
from exchange.gateways.rest.metrics import Metrics
from exchange.protocol.operations import OPERATIONS, OTHER_ROUTES, SESSION_OPERATIONS
from exchange.server import Exchange, ServeSettings

pytestmark = pytest.mark.slow  # a live exchange, or a market day


@pytest.fixture
def settings(tmp_path):
    return ServeSettings(tmp_path / "exchange", clock="manual")


def app_of(settings):
    """The app of a new exchange that is never opened."""
    return Exchange(settings).app


def test_it_starts_with_the_table_as_it_is(settings):
    app = app_of(settings)
    assert len(routes_of(app)) == len(OPERATIONS) + len(OTHER_ROUTES)


@pytest.mark.parametrize("route", list(OTHER_ROUTES))
def test_a_row_less_stops_the_start(settings, monkeypatch, route):
    monkeypatch.delitem(OTHER_ROUTES, route)
    with pytest.raises(PermissionTableError, match="is not in the permission table"):
        app_of(settings)


@pytest.mark.parametrize("name", list(SESSION_OPERATIONS))
def test_an_operation_of_the_socket_less_stops_the_start(settings, monkeypatch, name):
    monkeypatch.delitem(SESSION_OPERATIONS, name)
    with pytest.raises(PermissionTableError, match=f"socket operation {name} is not in"):
        app_of(settings)


def test_a_row_for_nothing_stops_the_start(settings, monkeypatch):
    monkeypatch.setitem(OTHER_ROUTES, ("GET", "/v1/ghost"), "read")
    with pytest.raises(
        PermissionTableError, match="GET /v1/ghost is in the permission table and nowhere else"
    ):
        app_of(settings)


@pytest.mark.parametrize("path", ["/v1/backdoor", "/v1/account"])
def test_a_route_that_somebody_adds_is_seen(settings, path):
    app = app_of(settings)
    app.add_api_route(path, lambda: 1, methods=["POST"])
    with pytest.raises(PermissionTableError, match=f"POST {path} is not in"):
        verify_complete(routes_of(app), [*OPERATIONS, *SESSION_OPERATIONS])


def test_a_mounted_app_is_seen(settings):
    app = app_of(settings)
    app.mount("/files", lambda scope, receive, send: None)
    with pytest.raises(PermissionTableError, match="/files"):
        verify_complete(routes_of(app), [*OPERATIONS, *SESSION_OPERATIONS])


def test_it_starts_without_the_socket(settings):
    made, limits = Exchange(settings), DoorLimits()
    app = build_app(
        made, Access(KeyFile(settings.folder)), Metrics(made.handle, lambda: 0), limits=limits,
        budgets=DoorBudgets(limits), reports=ReportRuns(settings.folder), history=FeedDays(settings.folder),
    )  # fmt: skip
    assert {method for method, _ in routes_of(app)} == {"GET", "POST", "PUT", "PATCH", "DELETE"}
