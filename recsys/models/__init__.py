"""Models. Each is a final class behind the `Recommender` contract; a new one is a module and a line here."""

from recsys.models.ampcf.mf import MF
from recsys.models.ampcf.model import AMPCF
from recsys.models.base import Recommendations, Recommender
from recsys.models.bpr import BPR
from recsys.models.capabilities import FoldIn, PersonaRecommender
from recsys.models.cold_items.features import ItemFeatures
from recsys.models.cold_items.model import WithColdItems
from recsys.models.decayed.model import Decayed
from recsys.models.decayed.persona_activity import PersonaPrior
from recsys.models.ials import IALS
from recsys.models.linear.ease import EASE
from recsys.models.linear.itemknn import ItemKNN
from recsys.models.linear.next_item import LinearNextItem
from recsys.models.linear.persona_ease import PersonaEASE
from recsys.models.memories.remembering import Remembering
from recsys.models.personas.model import WithPersonas
from recsys.models.popularity import Popularity, RecentPopularity
from recsys.models.preference.pairwise import PairwisePreference
from recsys.models.preference.signed_linear import SignedLinear
from recsys.models.reliable import Reliable
from recsys.models.sequential.model import SequentialAMPCF
from recsys.models.slated import Slated
from recsys.models.time_svd.model import TimeSVD

__all__ = [
    "AMPCF",
    "BPR",
    "EASE",
    "IALS",
    "MF",
    "Decayed",
    "FoldIn",
    "ItemFeatures",
    "ItemKNN",
    "LinearNextItem",
    "PairwisePreference",
    "PersonaEASE",
    "PersonaPrior",
    "PersonaRecommender",
    "Popularity",
    "RecentPopularity",
    "Recommendations",
    "Recommender",
    "Reliable",
    "Remembering",
    "SequentialAMPCF",
    "SignedLinear",
    "Slated",
    "TimeSVD",
    "WithColdItems",
    "WithPersonas",
]
