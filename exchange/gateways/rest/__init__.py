"""The REST door: routes made from the table of operations, on FastAPI."""
