"""Helpers for tests of ours and of people who build on CPX: a real server on a folder, started, stopped, killed."""
