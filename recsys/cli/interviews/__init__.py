"""Commands that ask a person."""
