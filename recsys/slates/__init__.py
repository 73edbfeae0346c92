"""From scores to a list: the best-scored items, or seats that personas, tastes or classes of popularity own."""

from recsys.slates.base import Content, Owners, Pool, Seating, Slate
from recsys.slates.calibrated import Calibrated
from recsys.slates.diverse import Determinantal, Diverse
from recsys.slates.exact import Exact
from recsys.slates.floor import Floor
from recsys.slates.greedy import Greedy
from recsys.slates.seats import Seats

__all__ = [
    "Calibrated",
    "Content",
    "Determinantal",
    "Diverse",
    "Exact",
    "Floor",
    "Greedy",
    "Owners",
    "Pool",
    "Seating",
    "Seats",
    "Slate",
]
