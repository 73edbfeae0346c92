"""Models that follow each other: trained on what came in, judged against the one in place, and put there or refused."""

from recsys.experiments.registry.models import Attempt, Finding, Registry
from recsys.experiments.registry.retraining import RetrainSettings, retrain, roll_back
from recsys.experiments.registry.service import RunningService

__all__ = ["Attempt", "Finding", "Registry", "RetrainSettings", "RunningService", "retrain", "roll_back"]
