"""The socket /v1/stream: login, order entry and market data; docs/protocol/stream.md."""
