"""What one rule for all cannot do, how much of it a model repairs, and for whom."""

from recsys.evaluation.disagreement.bounds import hindsight_bound, unhappy_share, worst_share
from recsys.evaluation.disagreement.camp_worlds import camp_worlds
from recsys.evaluation.disagreement.judgements import Judgements
from recsys.evaluation.disagreement.measures import Counting, Disagreement
from recsys.evaluation.disagreement.pair_logs import pair_rewards
from recsys.evaluation.disagreement.protocols import disagreement

__all__ = [
    "Counting",
    "Disagreement",
    "Judgements",
    "camp_worlds",
    "disagreement",
    "hindsight_bound",
    "pair_rewards",
    "unhappy_share",
    "worst_share",
]
