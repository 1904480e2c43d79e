"""Market days to run through a venue: the bundled demo, and days read from files; who is in them, and when they act."""
