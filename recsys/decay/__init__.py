"""Rules of forgetting: how much a user's past events still count, independent of any model."""

from recsys.decay.base import FixedRule, Forgetting, ForgettingRule, OnlineForgetting, OnlineRule
from recsys.decay.detectors import DetectorReset
from recsys.decay.fixed import GlobalHalfLife, NoDecay, SlidingWindow
from recsys.decay.gradient import GradientHalfLife
from recsys.decay.population import PopulationDecay
from recsys.decay.short_term import ShortTerm
from recsys.decay.temporal import TemporalDecay
from recsys.decay.visits import VisitWeights

__all__ = [
    "DetectorReset",
    "FixedRule",
    "Forgetting",
    "ForgettingRule",
    "GlobalHalfLife",
    "GradientHalfLife",
    "NoDecay",
    "OnlineForgetting",
    "OnlineRule",
    "PopulationDecay",
    "ShortTerm",
    "SlidingWindow",
    "TemporalDecay",
    "VisitWeights",
]
