"""How drift is handled: worlds whose truth is known, and real streams."""
