"""Everything the doors can do, once: the table that routes, socket operations, permissions, SDK and docs are made from.

A route or socket operation that is not in this table does not exist; the server refuses to start if a door disagrees.
"""

from typing import Any, NamedTuple

from exchange.protocol import answers as a
from exchange.protocol import answers_delivery as d
from exchange.protocol import answers_entry as ae
from exchange.protocol import answers_feed as af
from exchange.protocol import answers_green as ag
from exchange.protocol import answers_operator as o
from exchange.protocol import answers_prices as p
from exchange.protocol import answers_statements as st
from exchange.protocol import requests as r
from exchange.protocol import requests_delivery as rd
from exchange.protocol import requests_entry as re
from exchange.protocol import requests_green as g
from exchange.protocol import requests_operator as ro
from exchange.protocol import requests_settlement as rs
from exchange.protocol import requests_statements as q

SCOPES = ("read", "trade", "provide", "operate")
OPEN = ""  # scope of what needs no key


class Operation(NamedTuple):
    """One thing to ask: `name` on the socket and in OpenAPI, method and path over REST."""

    name: str
    method: str
    path: str
    scope: str
    args: type[Any]
    answer: type[Any]
    summary: str
    is_command: bool = False  # goes through the journal; answers with an Ack
    needs_key_header: bool = False  # REST: Idempotency-Key is required, since the body has no client id
    owner: str = ""  # own = acts on or shows what belongs to `participant`; "" = public or the operator's


def _get(name: str, path: str, scope: str, args: type, answer: type, summary: str, owner: str = "") -> Operation:
    return Operation(name, "GET", path, scope, args, answer, summary, owner=owner)


def _do(
    name: str, method: str, path: str, scope: str, args: type, summary: str, *, owner: str = "own", key: bool = False
) -> Operation:
    return Operation(name, method, path, scope, args, a.Ack, summary, True, key, owner)


_OPERATIONS = (
    # the door itself
    _get("health", "/v1/health", OPEN, r.Nothing, a.Health, "Whether the exchange takes commands."),
    _get("limits", "/v1/limits", OPEN, r.Nothing, o.Limits, "Every limit of the doors."),
    _get("errors", "/v1/errors", OPEN, r.Nothing, o.Errors, "Every code that can be answered."),
    _get("feed", "/v1/feed", "read", r.Nothing, af.FeedAddresses, "Addresses that serve market data beside this one."),
    _get("feed_integrity", "/v1/feed/integrity", "read", r.Nothing, af.FeedIntegrity, "How well the feed is followed."),
    _get("history", "/v1/history/{day}/{channel}", "read", ro.HistoryOf, af.HistoryFile,
         "A day of a feed channel as a Parquet file; made when it is first asked for."),
    # the market
    _get("venue", "/v1/venue", "read", r.Nothing, a.Venue, "Measures, clock and fees of the venue."),
    _get("catalogue", "/v1/catalogue", "read", r.Nothing, a.Catalogue, "Chips, regions, reach and links."),
    _get("instruments", "/v1/instruments", "read", r.Instruments, a.Families, "Listed families and their open periods."),
    _get("depth", "/v1/depth/{instrument:path}", "read", r.Book, a.Depth, "Price levels of one book."),
    _get("lane", "/v1/lane", "read", r.LaneView, a.Lane, "Everything a need could use in one period."),
    _get("demand", "/v1/demand", "read", r.DemandView, a.Demand, "What waiting tasks would buy, in coarse cells."),
    _get("trades", "/v1/trades", "read", r.Trades, a.TradePage, "Public trades."),
    _get("prices", "/v1/prices", "read", r.Prices, a.PricePage, "Fixes."),
    _get("candles", "/v1/candles", "read", r.Candles, p.CandlePage, "Candles of an instrument, a family or a chip."),
    _get("curve", "/v1/curve", "read", r.CurveOf, p.Curve, "The forward curve of a family by delivery period."),
    _get("indices", "/v1/indices", "read", r.Indices, p.IndexPage, "Indices of a chip, regional and national."),
    # tasks
    Operation("preview_task", "POST", "/v1/tasks/preview", "read", r.TaskTerms, a.Quote,
              "What a task would get now, or why nothing; nothing is booked.", owner="own"),
    _do("submit_task", "POST", "/v1/tasks", "trade", r.TaskTerms, "Buys what the task describes: now if it can, else waits."),
    _do("amend_task", "PUT", "/v1/tasks/{client_order_id}", "trade", r.TaskTerms, "New terms for a waiting task."),
    _do("cancel_task", "DELETE", "/v1/tasks/{client_order_id}", "trade", r.OwnTask, "Ends a waiting task."),
    _get("task", "/v1/tasks/{client_order_id}", "read", r.OwnTask, a.Task, "One task.", "own"),
    _get("tasks", "/v1/tasks", "read", r.TaskList, a.TaskPage, "Tasks, newest first.", "own"),
    # plain orders
    _do("place_order", "POST", "/v1/orders", "trade", r.OrderTerms, "A plain bid in one book."),
    _do("amend_order", "PATCH", "/v1/orders/{client_order_id}", "trade", r.OrderChange, "New price and total size."),
    _do("cancel_order", "DELETE", "/v1/orders/{client_order_id}", "trade", r.OwnOrder, "Takes an order out of its book."),
    Operation("place_orders", "POST", "/v1/orders/batch", "trade", re.PlaceOrders, ae.BatchAnswer,
              "Plain bids, each for itself.", owner="own"),
    Operation("cancel_orders", "POST", "/v1/orders/cancel", "trade", re.CancelOrders, ae.BatchAnswer,
              "Takes orders out of their books, each for itself.", owner="own"),
    _do("cancel_after", "POST", "/v1/orders/cancel-after", "trade", re.CancelAfter, "Cancels all orders unless said anew."),
    _get("order", "/v1/orders/{client_order_id}", "read", r.OwnOrder, a.Order, "One order.", "own"),
    _get("orders", "/v1/orders", "read", r.OrderList, a.OrderPage, "Orders, newest first.", "own"),
    # offers
    _do("place_offer", "POST", "/v1/offers", "provide", r.OfferTerms, "An offer over a window of periods."),
    _do("amend_offer", "PATCH", "/v1/offers/{offer_id}", "provide", r.OfferChange, "New price and size of what is unsold."),
    _do("withdraw_offer", "DELETE", "/v1/offers/{offer_id}", "provide", r.OwnOffer, "Takes back what is unsold."),
    _get("unsold_hours", "/v1/offers/{offer_id}/unsold", "read", r.OwnOffer, a.Unsold, "Unsold hours of an offer.", "own"),
    _get("offers", "/v1/offers", "read", r.OfferList, a.OfferPage, "Offers, newest first.", "own"),
    # delivery
    _get("leases", "/v1/leases", "read", r.LeaseList, d.LeasePage, "What was bought, purchase by purchase.", "own"),
    _get("obligations", "/v1/obligations", "read", r.ObligationList, d.ObligationPage, "What is delivered, hourly.", "own"),
    _do("submit_reading", "POST", "/v1/readings", "provide", r.ReadingTerms, "What a meter says was delivered."),
    _do("countersign_reading", "POST", "/v1/readings/countersign", "trade", r.ReadingAgreed, "The buyer agrees with it."),
    _do("dispute_reading", "POST", "/v1/readings/dispute", "trade", r.ReadingDisputed, "The buyer says it was less."),
    _do("probe_reading", "POST", "/v1/readings/probe", "operate", rd.ProbeTerms, "What a network probe saw.", owner=""),
    _do("announce_outage", "POST", "/v1/outages", "provide", r.OutageNotice, "A site will not deliver in a window."),
    _do("declare_failure", "POST", "/v1/failures", "provide", rd.FailureTerms, "An obligation will not be delivered."),
    _do("set_meter", "PUT", "/v1/sites/{site}/meter", "provide", rd.MeterTerms, "Who signs readings, and how often."),
    _get("dispatches", "/v1/dispatches", "provide", rd.DispatchList, d.DispatchPage, "What a provider has to run.", "own"),
    _do("give_access", "POST", "/v1/leases/{lease_id}/access", "provide", rd.AccessTerms, "How the buyer reaches his cards."),
    _do("return_result", "POST", "/v1/leases/{lease_id}/results", "provide", rd.ResultTerms, "What the work has put out."),
    _get("certificates", "/v1/certificates", "read", g.CertificateList, ag.CertificatePage, "Green power that is held.", "own"),
    _get("green_share", "/v1/green/{day}", "read", g.GreenShareOf, ag.GreenSharePage, "How green a day was.", "own"),
    # money
    _get("account", "/v1/account", "read", r.OwnMoney, d.Account, "Purses.", "own"),
    _get("holds", "/v1/account/holds", "read", r.OwnMoney, d.Holds, "What is held, and for what.", "own"),
    _get("statement", "/v1/statements/{day}", "read", r.StatementOf, d.Statement, "A day: opening, lines, closing.", "own"),
    _get("statement_days", "/v1/statements", "read", q.StatementDaysOf, st.StatementDays, "Days over, with hashes.", "own"),
    _get("statement_file", "/v1/statements/{day}/{format}", "read", q.StatementFileOf, st.StatementFile,
         "The statement of a day as a file.", "own"),
    _get("statement_line", "/v1/statements/{day}/lines/{line_id}", "read", q.StatementLineOf, st.LineDetail,
         "Trade, readings and fix behind a line.", "own"),
    Operation("confirm_statement", "POST", "/v1/confirmations/{day}", "read", q.StatementConfirmed, st.StatementDay,
              "The participant confirms a day by its hash.", owner="own"),
    _do("post_bond", "POST", "/v1/bonds", "provide", r.BondTerms, "Free cash becomes standing security.", key=True),
    _do("deposit", "POST", "/v1/deposits", "operate", r.MoneyMove, "Money comes in.", key=True),
    _do("withdraw", "POST", "/v1/withdrawals", "operate", r.MoneyMove, "Money goes out.", key=True),
    # the operator
    _get("confirmations", "/v1/confirmations", "operate", r.Paged, st.StatementDays, "Confirmed days of everybody."),
    _get("accounts", "/v1/accounts", "operate", r.Paged, d.AccountPage, "Purses of everybody."),
    _get("participants", "/v1/participants", "operate", r.Paged, o.ParticipantPage, "Participants."),
    _do("add_participant", "POST", "/v1/participants", "operate", ro.ParticipantTerms, "A new participant.", owner=""),
    _get("sites", "/v1/sites", "read", ro.SiteList, o.SitePage, "Sites and their attested capacity.", "own"),
    _do("allow_emergency", "PUT", "/v1/participants/{participant}/emergency", "operate", ro.EmergencyRight,
        "Whether a participant may use the emergency lane.", owner=""),
    _do("add_site", "POST", "/v1/sites", "operate", ro.SiteTerms, "A new site.", owner=""),
    _do("attest_capacity", "PUT", "/v1/sites/{site}/capacity", "operate", ro.CapacityTerms, "Attests cards.", owner=""),
    _do("set_venue", "PUT", "/v1/venue", "operate", ro.VenueTerms, "The settings, once.", owner=""),
    _do("load_catalogue", "PUT", "/v1/catalogue", "operate", ro.CatalogueTerms, "The catalogue.", owner=""),
    _do("set_tariff", "POST", "/v1/tariffs", "operate", ro.TariffTerms, "A version of fees and shares.", owner=""),
    _do("list_family", "POST", "/v1/instruments", "operate", ro.FamilyTerms, "Opens a family for trading.", owner=""),
    _do("set_fix", "POST", "/v1/prices", "operate", ro.FixTerms, "The fix of an instrument.", owner=""),
    _do("set_power_prices", "POST", "/v1/power_prices", "operate", ro.PowerPrices, "Power prices of a region.", owner=""),
    _do("issue_certificates", "POST", "/v1/certificates", "operate", g.CertificateTerms, "Green power of a participant.",
        owner=""),
    _do("buy_in", "POST", "/v1/buy_ins", "operate", rs.BuyInTerms, "Cures an obligation that fails.", owner=""),
    _do("order_curtailment", "POST", "/v1/curtailments", "operate", rs.CurtailmentTerms, "Sites must stop.", owner=""),
    _do("bust_trade", "POST", "/v1/busts", "operate", rs.BustTerms, "Undoes an unsettled trade.", owner=""),
    _do("adjust_trade", "POST", "/v1/adjustments", "operate", rs.AdjustTerms, "Gives a trade another price.", owner=""),
    _do("settle_period", "POST", "/v1/settlements", "operate", ro.Settlement, "Settles a delivery period.", owner=""),
    _do("advance_time", "POST", "/v1/clock", "operate", ro.ClockMove, "Moves a manual clock.", owner=""),
    _get("activity", "/v1/activity", "operate", r.Nothing, o.Activity, "What is open."),
    _get("state", "/v1/state", "operate", r.Nothing, o.State, "The state hash; the larger the state, the slower."),
    _get("due", "/v1/due/{period_start}", "operate", ro.Settlement, o.DueList, "Obligations of one period."),
    Operation("create_key", "POST", "/v1/keys", "operate", ro.KeyTerms, o.NewKey, "A new key; its secret is shown this once."),
    _get("keys", "/v1/keys", "operate", r.Paged, o.KeyPage, "Keys, without secrets."),
    Operation("revoke_key", "DELETE", "/v1/keys/{key_id}", "operate", ro.KeyName, o.Key, "Ends a key at once."),
    Operation("start_report", "POST", "/v1/reports", "operate", ro.ReportTerms, o.Report, "Writes all report files."),
    _get("report", "/v1/reports/{report_id}", "operate", ro.ReportName, o.Report, "How far a report run is."),
)  # fmt: skip

OPERATIONS = {operation.name: operation for operation in _OPERATIONS}

# What is not one of the operations above and still answers: (method, path) -> scope. Everything else is NOT_FOUND.
OTHER_ROUTES = {
    ("GET", "/metrics"): "operate",
    ("GET", "/openapi.json"): OPEN,
    ("GET", "/asyncapi.json"): OPEN,
    ("GET", "/docs"): OPEN,
    ("GET", "/docs/{file}"): OPEN,
    ("GET", "/v1/reports/{report_id}/files/{file}"): "operate",
    ("GET", "/v1/history/{day}/{channel}/file"): "read",
    ("WEBSOCKET", "/v1/stream"): OPEN,  # its first frame must be a login
}

# What the socket knows beside OPERATIONS: session operations and their scope.
SESSION_OPERATIONS = {"login": OPEN, "subscribe": "read", "unsubscribe": "read", "ping": OPEN, "fate": OPEN}
