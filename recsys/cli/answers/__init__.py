"""Commands about what people answer: which to ask, and which to believe."""
