"""Which answers are preferences: the reliability of responses, independent of any model."""

from recsys.reliability.mixture import ResponseMixture
from recsys.reliability.posterior import FittedMixture, Reliability, judge
from recsys.reliability.responses import Responses

__all__ = ["FittedMixture", "Reliability", "ResponseMixture", "Responses", "judge"]
