"""Scores of drift handling, computed from prequential replays."""
