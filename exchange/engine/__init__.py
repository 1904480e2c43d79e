"""The single writer: numbers commands, makes them durable, applies them, hands out the events."""
