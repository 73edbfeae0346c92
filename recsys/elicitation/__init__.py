"""What to ask somebody of whom nothing is known, and what the answers say. Independent of any model.

A `Crowd` is what other people answered. From it come two beliefs about a person, `TasteBelief` (what would they rate?)
and `RankingBelief` (what should be listed?), and a `Chooser` of the next questions; an `Interview` puts them together.
"""

from recsys.elicitation.choosing import ByInformation, Chooser, FixedList, RandomPopular, greedy_list
from recsys.elicitation.classic import entropy0, helf, igcn, popularity
from recsys.elicitation.crowd import Crowd
from recsys.elicitation.interview import Interview, Progress
from recsys.elicitation.pair_choice import PairsByInformation, PReFChoice, pair_bases
from recsys.elicitation.questions import Answer, PairQuestion
from recsys.elicitation.ranking import RankingBases, RankingBelief
from recsys.elicitation.taste import TasteBelief
from recsys.elicitation.taste_bases import TasteBases
from recsys.elicitation.tree import AnswerTree

__all__ = [
    "Answer",
    "AnswerTree",
    "ByInformation",
    "Chooser",
    "Crowd",
    "FixedList",
    "Interview",
    "PReFChoice",
    "PairQuestion",
    "PairsByInformation",
    "Progress",
    "RandomPopular",
    "RankingBases",
    "RankingBelief",
    "TasteBases",
    "TasteBelief",
    "entropy0",
    "greedy_list",
    "helf",
    "igcn",
    "pair_bases",
    "popularity",
]
