"""The doors: REST and the socket, both on one dispatcher."""
