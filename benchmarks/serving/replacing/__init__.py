"""Whether anything fails while catalogue, policy and bundle are replaced under load."""
