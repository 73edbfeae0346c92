"""Models of preference: which of two items a user likes better, from ratings or from pairs."""
