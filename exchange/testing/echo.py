"""The peers of `cpx bench gateway`: the same web server as the exchange's, with nothing behind it.

A socket that sends every frame back, and a handler that validates the body of an order with pydantic and returns.
"""

import json
import socket
import sys
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, StringConstraints

DecimalText = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,18}(\.[0-9]{1,9})?$", max_length=29)]
IdText = Annotated[str, StringConstraints(pattern="^[ -~]+$", min_length=1, max_length=36)]


class OrderBody(BaseModel):
    """The fields of a plain order, as strict as the exchange's own door."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    client_order_id: IdText
    instrument: Annotated[str, StringConstraints(max_length=80)]
    price: DecimalText
    cards: DecimalText
    side: str = "buy"
    tif: str = "GTC"


rest = FastAPI(openapi_url=None)


@rest.post("/validate")
async def validate(body: OrderBody) -> dict[str, str]:
    """Validates and returns."""
    return {"client_order_id": body.client_order_id}


async def echo_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI: sockets echo, the rest goes to FastAPI."""
    if scope["type"] != "websocket":
        await rest(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def main() -> None:
    """Serves on a free port of this machine; one JSON line says where."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        echo_app, loop="uvloop", http="httptools", ws="websockets-sansio", ws_per_message_deflate=False, lifespan="off",
        log_config=None, access_log=False, server_header=False, proxy_headers=False,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
