"""Closed loops: people with known tastes who choose from lists, and whom what they choose may move."""

from recsys.worlds.loops.base import LoopWorld, Population, Truth
from recsys.worlds.loops.camps import Camps
from recsys.worlds.loops.chaney import Chaney
from recsys.worlds.loops.moods import Moods, shaping

__all__ = ["Camps", "Chaney", "LoopWorld", "Moods", "Population", "Truth", "shaping"]
