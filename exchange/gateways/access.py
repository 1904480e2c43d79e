"""Who may do what: one permission table for both doors, made from the table of operations; deny by default.

What is not in the table does not answer, and `verify_complete` keeps the server from starting where a door and the table
disagree, in either direction: a new route without a line here is no route.
"""

from collections.abc import Iterable

from exchange.ports_access import Keys, Principal
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.operations import OPEN, OPERATIONS, OTHER_ROUTES, SESSION_OPERATIONS, Operation

Route = tuple[str, str]  # method, path as in OPERATIONS
LONGEST_SECRET = 200


class PermissionTableError(Exception):
    """A door has something that the permission table lacks, or lacks something that it has; the server does not start."""

    exit_code = 70


def route_permissions() -> dict[Route, str]:
    """(method, path) -> scope, of everything that answers over HTTP; "" needs no key."""
    return {(each.method, each.path): each.scope for each in OPERATIONS.values()} | OTHER_ROUTES


def socket_permissions() -> dict[str, str]:
    """Operation of a socket -> scope; "" needs no key."""
    return {each.name: each.scope for each in OPERATIONS.values()} | SESSION_OPERATIONS


def verify_complete(routes: Iterable[Route], socket_operations: Iterable[str] | None = None) -> None:
    """PermissionTableError unless the doors have exactly what the table has; None: there is no socket."""
    table = set(route_permissions())
    if socket_operations is None:
        table = {route for route in table if route[0] != "WEBSOCKET"}
    complaints = _differences("route", {" ".join(route) for route in table}, {" ".join(route) for route in routes})
    if socket_operations is not None:
        complaints += _differences("socket operation", set(socket_permissions()), set(socket_operations))
    if complaints:
        raise PermissionTableError("; ".join(complaints))


def _differences(kind: str, table: set[str], door: set[str]) -> list[str]:
    lacking = [f"{kind} {name} is not in the permission table" for name in sorted(door - table)]
    return lacking + [f"{kind} {name} is in the permission table and nowhere else" for name in sorted(table - door)]


class Access:
    """Tells who a key belongs to and whether he may; for both doors."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def authenticate(self, secret: str) -> Principal:
        """Who holds this secret; DoorError WRONG_KEY, the same whether it is unknown, revoked or expired."""
        row = self._keys.find(secret) if len(secret) <= LONGEST_SECRET else None
        if row is None:
            raise DoorError(DoorReason.WRONG_KEY)
        return Principal(row.key_id, row.participant, frozenset(row.scopes))

    def check(self, principal: Principal, operation: Operation) -> None:
        """DoorError WRONG_KEY where the key has ended since, WRONG_SCOPE where it may not do this."""
        self.check_alive(principal)
        self.check_scope(principal, operation.scope)

    def check_alive(self, principal: Principal) -> None:
        """DoorError WRONG_KEY where the key was revoked or has expired since it was shown."""
        if not self._keys.is_alive(principal.key_id):
            raise DoorError(DoorReason.WRONG_KEY, "the key was revoked or has expired")

    def check_scope(self, principal: Principal, scope: str) -> None:
        """DoorError WRONG_SCOPE; `operate` needs a key of the operator as well."""
        if scope == OPEN:
            return
        if scope not in principal.scopes or (scope == "operate" and principal.participant):
            raise DoorError(DoorReason.WRONG_SCOPE, f"this needs the scope {scope}")
