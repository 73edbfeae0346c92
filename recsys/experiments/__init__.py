"""Experiments: configuration files, runs kept in a directory, questions to a finished run, the drift benchmark."""
