"""A model, a rule of forgetting, a metric and a reader that recsys finds by their entry points."""
