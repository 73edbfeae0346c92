"""Speed of training and evaluation beside peers, and scale."""
