"""The event store: one port with implementations in memory, SQLite and PostgreSQL; migrations; import and export."""
