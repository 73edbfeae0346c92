"""Pairs of preferences: who prefers which of two items, from a log of ratings or from a file of its own."""

from recsys.data.pairs.pair_log import PairLog, read_pair_log
from recsys.data.pairs.pairs import Pairs, PairWindow, pairs_of
from recsys.data.pairs.splits import PairSplit, Splits

__all__ = ["PairLog", "PairSplit", "PairWindow", "Pairs", "Splits", "pairs_of", "read_pair_log"]
