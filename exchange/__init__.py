"""The exchange around the matching core: rules, journal, read models and command line."""

__version__ = "0.1.0"
