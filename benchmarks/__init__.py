"""Benchmarks: one command each (`python -m benchmarks.accuracy`), most of which write a dated report."""
