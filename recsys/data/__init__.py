"""Logs, queries, vocabularies, items; readers, data sets, splits. Never imports torch."""
