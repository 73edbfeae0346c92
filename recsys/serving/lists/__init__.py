"""Lists of recommendations with what explains and corrects them."""
