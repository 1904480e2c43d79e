"""The outside world, one file per technology; only here is there I/O."""
