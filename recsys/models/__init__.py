"""Models. Each is a final class behind the `Recommender` contract."""

from recsys.models.ampcf import AMPCF
from recsys.models.base import FoldIn, PersonaRecommender, Recommendations, Recommender
from recsys.models.bpr import BPR
from recsys.models.decayed import Decayed, PerUserDecay
from recsys.models.ease import EASE
from recsys.models.ials import IALS
from recsys.models.itemknn import ItemKNN
from recsys.models.linear_ampcf import LinearAMPCF
from recsys.models.linear_next_item import LinearNextItem
from recsys.models.mf import MF
from recsys.models.persona_activity import PersonaPrior
from recsys.models.popularity import Popularity, RecentPopularity
from recsys.models.time_svd import TimeSVD

__all__ = [
    "AMPCF",
    "BPR",
    "EASE",
    "IALS",
    "MF",
    "Decayed",
    "FoldIn",
    "ItemKNN",
    "LinearAMPCF",
    "LinearNextItem",
    "PerUserDecay",
    "PersonaPrior",
    "PersonaRecommender",
    "Popularity",
    "RecentPopularity",
    "Recommendations",
    "Recommender",
    "TimeSVD",
]
