"""The catalogue in the event store: items as they are kept, and their import from files."""
