"""From scores to a list: the best-scored items, or seats that a user's personas own."""

from recsys.slates.base import Content, Owners, Pool, Seating, Slate
from recsys.slates.floor import Floor
from recsys.slates.greedy import Greedy
from recsys.slates.seats import Seats

__all__ = ["Content", "Floor", "Greedy", "Owners", "Pool", "Seating", "Seats", "Slate"]
