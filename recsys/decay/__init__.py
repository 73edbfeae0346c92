"""How much a user's past still counts: forgetting, independent of any model."""
