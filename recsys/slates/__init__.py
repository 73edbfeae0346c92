"""From scores to a list: the best-scored items, or seats that a user's personas own."""

from recsys.slates.base import Owners, Pool, Seating, Slate
from recsys.slates.greedy import Greedy
from recsys.slates.seats import Seats

__all__ = ["Greedy", "Owners", "Pool", "Seating", "Seats", "Slate"]
