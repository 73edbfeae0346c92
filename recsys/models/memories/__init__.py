"""Memories: what is kept of a user, in how many bytes, and how a model reads it."""

from recsys.models.memories.contract import EventMemory, Memory, StateMemory
from recsys.models.memories.dual import Dual
from recsys.models.memories.exemplars import Exemplars
from recsys.models.memories.parametric import Parametric
from recsys.models.memories.recent import EpisodicRecent
from recsys.models.memories.remembering import Remembering
from recsys.models.memories.similar import EpisodicSimilar
from recsys.models.memories.summary import SemanticSummary

__all__ = [
    "Dual",
    "EpisodicRecent",
    "EpisodicSimilar",
    "EventMemory",
    "Exemplars",
    "Memory",
    "Parametric",
    "Remembering",
    "SemanticSummary",
    "StateMemory",
]
