"""Pairs of preferences: who prefers which of two items, from a log of ratings or from a file of its own."""

from recsys.data.pairs.pair_log import PairLog, read_pair_log
from recsys.data.pairs.pairs import Pairs, PairWindow, pairs_of

__all__ = ["PairLog", "PairWindow", "Pairs", "pairs_of", "read_pair_log"]
