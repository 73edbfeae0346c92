"""A policy in the service: who asks, the rules that bind a list, what they did to it, and the record of that."""
