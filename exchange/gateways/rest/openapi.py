"""The OpenAPI 3.1 document, from the table of operations and the structs of the wire: nothing in it is written twice."""

from typing import Any

import msgspec

from exchange.gateways.batches import BATCHES
from exchange.gateways.rest.problems import JSON, PROBLEM
from exchange.gateways.rest.reading import WITH_BODY, path_names
from exchange.protocol.answers_statements import FILE_TYPES, StatementFile
from exchange.protocol.errors import DOOR_RULES, DoorReason, Problem
from exchange.protocol.fields import MAX_ID
from exchange.protocol.operations import OPEN, OPERATIONS, Operation

REF = "#/components/schemas/{name}"
TAGS = (
    ("health limits errors", "door"),
    ("venue catalogue instruments depth lane demand trades prices", "market"),
    ("preview_task submit_task amend_task cancel_task task tasks", "tasks"),
    ("place_order place_orders amend_order cancel_order cancel_orders cancel_after order orders", "orders"),
    ("place_offer amend_offer withdraw_offer unsold_hours offers", "offers"),
    (
        "leases obligations submit_reading countersign_reading dispute_reading probe_reading announce_outage declare_failure "
        "set_meter dispatches give_access return_result", "delivery",
    ),
    ("account holds statement statement_days statement_file statement_line confirm_statement post_bond", "money"),
)
KEY_HEADER = {
    "name": "Idempotency-Key", "in": "header",
    "description": "1 to 36 printable ASCII characters, new for every new intent; the same again gives the first answer",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID, "pattern": "^[ -~]+$"},
}  # fmt: skip
VALID_UNTIL_HEADER = {
    "name": "CPX-Valid-Until", "in": "header", "required": False,
    "description": "RFC 3339, at most 7 days ahead: by the venue's time, the command is not executed later than this",
    "schema": {"type": "string", "minLength": 1, "maxLength": 40},
    "example": "2026-11-24T12:00:00Z",
}  # fmt: skip


def document(title: str, version: str, summary: str) -> dict[str, Any]:
    """The whole document, as plain data."""
    kinds: dict[type, None] = {Problem: None}
    for operation in OPERATIONS.values():
        kinds |= {operation.args: None, operation.answer: None}
    schemas, components = msgspec.json.schema_components(list(kinds), ref_template=REF)
    of_kind = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS.values():
        path = operation.path.replace(":path}", "}")
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, of_kind, components)
    bodies = {each.args.__name__ for each in OPERATIONS.values() if each.method in WITH_BODY and "{" not in each.path}
    bodies |= {entry.__name__ for _, entry in BATCHES.values()}  # a batch refers to them
    for name in {each.args.__name__ for each in OPERATIONS.values()} - bodies:
        components.pop(name, None)  # these are parameters, wholly or in part, and stand where they are used
    simplify_tuples(components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title, "version": version, "summary": summary,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "a secret of cpx keys"}},
        },
    }  # fmt: skip


def simplify_tuples(schema: Any) -> None:
    """So many of one kind is said by `items` with a length: tools that read 3.1 stumble over `prefixItems`."""
    if isinstance(schema, dict):
        kinds = schema.get("prefixItems", [])
        if kinds and all(kind == kinds[0] for kind in kinds) and schema["minItems"] == schema["maxItems"] == len(kinds):
            schema["items"] = schema.pop("prefixItems")[0]
    for each in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        simplify_tuples(each)


def _operation(operation: Operation, of_kind: dict[type, Any], components: dict[str, Any]) -> dict[str, Any]:
    scope = f" Scope: {operation.scope}." if operation.scope else " No key needed."
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": (operation.args.__doc__ or "").strip() + scope,
        "tags": [next((tag for names, tag in TAGS if operation.name in names.split()), "operator")],
        "parameters": _parameters(operation, components),
        "responses": _responses(operation, of_kind),
    }
    if operation.scope == OPEN:
        made["security"] = []
    if operation.method in WITH_BODY:
        made["requestBody"] = _body(operation, of_kind, components)
    return made


def _parameters(operation: Operation, components: dict[str, Any]) -> list[dict[str, Any]]:
    schema = components[operation.args.__name__]
    in_path = path_names(operation.path)
    made = [_parameter(name, "path", schema["properties"][name], True) for name in in_path]
    if operation.method not in WITH_BODY:
        required = schema.get("required", ())
        made += [
            _parameter(name, "query", field, name in required)
            for name, field in schema["properties"].items()
            if name not in in_path
        ]
    if operation.is_command:
        made += [KEY_HEADER | {"required": operation.needs_key_header}, VALID_UNTIL_HEADER]
    return made


def _parameter(name: str, place: str, field: dict[str, Any], is_required: bool) -> dict[str, Any]:
    """A field of a struct as a parameter: null is said by leaving it out, lists have commas."""
    field = dict(field)
    if "anyOf" in field:
        kinds = [kind for kind in field["anyOf"] if kind != {"type": "null"}]
        assert len(kinds) == 1, field
        field = dict(kinds[0])
    if field.get("default") in (None, []):
        field.pop("default", None)
    made: dict[str, Any] = {"name": name, "in": place, "required": is_required, "schema": field}
    if field.get("type") == "array":
        made |= {"style": "form", "explode": False}
    if "description" in field:
        made["description"] = field.pop("description")
    return made


def _body(operation: Operation, of_kind: dict[type, Any], components: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = of_kind[operation.args]
    in_path = path_names(operation.path)
    if in_path:  # the same struct, less what the path says
        whole = components[operation.args.__name__]
        schema = dict(whole)
        schema["title"] = f"{whole['title']}Body"
        schema["properties"] = {name: each for name, each in whole["properties"].items() if name not in in_path}
        schema["required"] = [name for name in whole["required"] if name not in in_path]
    has_fields = bool(components[operation.args.__name__]["properties"])
    return {"required": has_fields, "content": {JSON: {"schema": schema}}}


def _responses(operation: Operation, of_kind: dict[type, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {JSON: {"schema": of_kind[operation.answer]}}
    good: dict[str, Any] = {"description": "done", "headers": _headers(operation), "content": content}
    if operation.answer is StatementFile:
        good["content"] |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in FILE_TYPES}
    made: dict[str, Any] = {"200": good}
    for reason, rule in DOOR_RULES.items():
        if not can_answer(operation, reason):
            continue
        code = str(rule.status)
        each = made.setdefault(
            code, {"description": "", "content": {PROBLEM: {"schema": of_kind[Problem]}}, "headers": {"x-trace-id": _TRACE}}
        )
        each["description"] += f"{', ' if each['description'] else ''}{reason.name}"
    if operation.name == "health":
        made["503"]["content"][JSON] = {"schema": of_kind[operation.answer]}
    return made


_TRACE = {"description": "name of this request in our log", "schema": {"type": "string"}}


def _headers(operation: Operation) -> dict[str, Any]:
    made = {"x-trace-id": _TRACE}
    if "cursor" in operation.args.__struct_fields__:
        made["link"] = {"description": "the next page (RFC 8288), where there is one", "schema": {"type": "string"}}
    return made


_NOT_REST = frozenset(
    (
        DoorReason.TOO_MANY_SUBSCRIPTIONS, DoorReason.TOO_MANY_CONNECTIONS, DoorReason.UNKNOWN_OPERATION,
        DoorReason.UNKNOWN_CHANNEL, DoorReason.NOT_LOGGED_IN, DoorReason.SLOW_CONSUMER, DoorReason.METHOD_NOT_ALLOWED,
    )
)  # fmt: skip
_COMMANDS_ONLY = frozenset(
    (DoorReason.KEY_REUSED, DoorReason.OUTCOME_UNKNOWN, DoorReason.VALID_UNTIL_TOO_FAR, DoorReason.IDEMPOTENCY_KEY_MISSING)
)
_KEYED_ONLY = frozenset((DoorReason.WRONG_SCOPE, DoorReason.REFUSED))


def can_answer(operation: Operation, reason: DoorReason) -> bool:
    """Whether a reason can come from this operation over REST."""
    if reason in _NOT_REST:
        return False
    if reason is DoorReason.CLOCK_NOT_MANUAL:
        return operation.name == "advance_time"
    if reason is DoorReason.UNSUPPORTED_MEDIA_TYPE:
        return operation.method in WITH_BODY
    if reason is DoorReason.BAD_CURSOR:
        return "cursor" in operation.args.__struct_fields__
    if reason in _COMMANDS_ONLY:
        return operation.is_command
    return reason not in _KEYED_ONLY or operation.scope != OPEN
