"""Items that training did not know: who finds them, and what it costs the others."""
