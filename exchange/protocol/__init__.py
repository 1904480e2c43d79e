"""What crosses the border of the venue as bytes: one encoding per command, no transport."""
