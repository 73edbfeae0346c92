"""The catalogue of the service: what the model knows, under what the store says; search, pages, stock."""
