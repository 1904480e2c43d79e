"""Placeholder of the client SDK: nothing to import yet, it comes with the exchange's network doors."""
