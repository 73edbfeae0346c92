"""Reasons that are true: the events without which an item would not be in the list, found and checked."""

from recsys.explanations.reasons.explained_lists import LEAST_CERTAINTY, explain_lists
from recsys.explanations.reasons.splits import with_splits
from recsys.explanations.reasons.user_list import UserList

__all__ = ["LEAST_CERTAINTY", "UserList", "explain_lists", "with_splits"]
