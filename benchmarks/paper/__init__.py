"""The AMP-CF authors' protocol."""
