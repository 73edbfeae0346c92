"""Saved models: a directory that holds data only, with a manifest and a checksum of every file."""
