"""What one rule for all cannot do, how much of it a model repairs, and for whom."""

from recsys.evaluation.disagreement.bounds import hindsight_bound, unhappy_share, worst_share
from recsys.evaluation.disagreement.judgements import Judgements
from recsys.evaluation.disagreement.measures import Counting, Disagreement
from recsys.evaluation.disagreement.protocols import disagreement

__all__ = [
    "Counting",
    "Disagreement",
    "Judgements",
    "disagreement",
    "hindsight_bound",
    "unhappy_share",
    "worst_share",
]
