"""Writers of a run's results: CSV for spreadsheets, a beancount ledger for accountants."""

from exchange.adapters.exporters.export import BooksDiffer, export_all

__all__ = ["BooksDiffer", "export_all"]
