"""Reasons that are true: the events without which an item would not be in the list, found and checked."""

from recsys.explanations.reasons.explained_list import LEAST_CERTAINTY, explain_list
from recsys.explanations.reasons.splits import with_splits
from recsys.explanations.reasons.user_list import UserList

__all__ = ["LEAST_CERTAINTY", "UserList", "explain_list", "with_splits"]
