"""Pure rules around the core: no clock, no I/O, no float, no randomness."""
