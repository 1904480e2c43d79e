"""Feed workers: processes beside the venue's that serve market data to sockets, so that no crowd of readers slows it."""
