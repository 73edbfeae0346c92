"""What makes and answers the lists of one model; it is made anew when the model takes other items."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Self, final

from recsys.bundles.index import Recommend
from recsys.data.pairs import Splits
from recsys.events.impressions.records import Variant
from recsys.explanations.reasons import with_splits
from recsys.models.base import Recommender
from recsys.models.personas.model import WithPersonas
from recsys.models.slated import Slated
from recsys.serving.items.catalogue import Catalogue
from recsys.serving.lists.answered import AnsweredLists
from recsys.serving.lists.base import ListMaker
from recsys.serving.lists.cached import CachedLists
from recsys.serving.lists.corrections import PersonaCorrections
from recsys.serving.lists.personas import PersonaLists
from recsys.serving.lists.plain import PlainLists
from recsys.serving.lists.summary import SummaryLists
from recsys.serving.lists.visit import VisitShelf
from recsys.serving.norms.norms import Norms
from recsys.serving.users.settings import UserSettings
from recsys.serving.users.state import UserCache


@final
@dataclass(frozen=True)
class ListSettings:
    """What the lists of a service have in common, whatever items the model has.

    Attributes:
        fingerprint: of the model.
        catalogue: its items.
        users: what they wrote.
        cache: of the states of users.
        recommend: finds the best items of `model.scoring_model`; None: that model itself.
        norms: bind every list; None: nothing does.
        splits: how split people are over pairs of items; None: it is not known.
        variant: which of two models this is.
    """

    fingerprint: str
    catalogue: Catalogue
    users: UserSettings
    cache: UserCache
    recommend: Recommend | None
    norms: Norms | None
    splits: Splits | None
    variant: Variant


@final
@dataclass(frozen=True, eq=False)
class MadeLists:
    """What makes and answers the lists of one model.

    Attributes:
        model: fitted.
        maker: of new lists.
        cached: those that it made, where they are still the same.
        summaries: lists of texts.
        answered: lists as they are answered.
        scored: finds the best scores, whoever owns the items.
    """

    model: Recommender
    maker: ListMaker
    cached: CachedLists
    summaries: SummaryLists
    answered: AnsweredLists
    scored: Recommend

    @classmethod
    def of(cls, model: Recommender, settings: ListSettings) -> Self:
        """Return what makes the lists of a model."""
        catalogue, recommend = settings.catalogue, settings.recommend
        maker: ListMaker
        if isinstance(model, WithPersonas):
            maker = PersonaLists(model, catalogue, recommend)
        else:
            maker = PlainLists(model, catalogue, PersonaCorrections(model, settings.fingerprint), recommend)
        cached = CachedLists(maker, settings.cache)
        summaries = SummaryLists(model, catalogue, settings.users)
        splits = settings.splits
        answered = AnsweredLists(
            settings.fingerprint,
            catalogue,
            maker,
            cached,
            summaries,
            VisitShelf(model, catalogue),
            settings.norms,
            None if splits is None else partial(with_splits, splits=splits, fitted=model.fitted_on),
            settings.variant,
        )
        scoring = (model.base if isinstance(model, WithPersonas | Slated) else model).scoring_model
        return cls(model, maker, cached, summaries, answered, recommend or scoring.recommend)
