"""Reliability around any fold-in model: answers count as far as they are preferences."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.data.feedback import is_rated
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError, ConfigError
from recsys.models.base import ReadOut, Recommender, Validate
from recsys.models.capabilities import WeightedFit, as_fold_in, refuse_own_slate
from recsys.models.wrapping import Wrapper, fitted, part_of, prefixed
from recsys.reliability import FittedMixture, Reliability, ResponseMixture, Responses
from recsys.reliability.agreement import agreement_weights
from recsys.reliability.posterior import Judged
from recsys.training.session import Session
from recsys.types import Floats, Ints

_LOG = logging.getLogger(__name__)
_PURPOSE = "weights of answers"
_MODEL, _MIXTURE = "model.", "mixture."
_DEFAULT = ResponseMixture()
_SCORES = 16_000_000
"""Of a batch that is scored to see which events agree: 64 MB."""


@final
class Reliable(Wrapper):
    """Any fold-in model, read with answers that count as far as they are preferences.

        s_u = model(history of u, weights w_j max(P(genuine_j), .02))       P: see `recsys.reliability.ResponseMixture`

    Events without a rating, of items that training did not know, and those that the person has confirmed
    (`Queries.meant`) count fully. Where the log cannot tell answers
    apart (see `reason`), all do.

    Where there are no ratings (`mixture=None`), an event counts by how well the rest of its history agrees with it
    (`recsys.reliability.agreement`), the event itself included where the model's read-out of an item counts it, as that
    of IALS does and that of EASE does not.

    Args:
        model: the model to wrap, such as `Decayed`. It stays as it is: `fit` fits copies.
        mixture: how answers are told apart; None for logs without ratings.
        train: whether the items are learned from weighted answers, too.

    Raises:
        CapabilityError: the model cannot fold in, has found personas itself, or cannot be fitted with weights that
            `train` asks for.
        DataError: the log has one value only (when fitting).
    """

    def __init__(self, model: Recommender, mixture: ResponseMixture | None = _DEFAULT, train: bool = False) -> None:
        as_fold_in(model, _PURPOSE)
        if isinstance(model, Reliable):
            raise CapabilityError("Reliable cannot wrap Reliable: answers would be doubted twice; wrap the model in it")
        refuse_own_slate(model, "Reliable")
        if train and mixture is None:
            raise ConfigError("train=True needs a mixture: agreement weighs what is read, and is not learned from")
        if train and not isinstance(model, WeightedFit):
            raise CapabilityError(
                f"{type(model).__name__} cannot count training events by weights, which train=True needs; use EASE, "
                "PersonaEASE or IALS, or leave it out"
            )
        self.model = model
        self.mixture = mixture
        self.train = train
        self._inner = model.unfitted()
        self._mixture: FittedMixture | None = None

    @classmethod
    def around(cls, model: Recommender, mixture: FittedMixture) -> Reliable:
        """Return a fitted model, read with the weights of a mixture that was fitted on answers about its items."""
        made = cls(model)
        made._inner, made._mixture = model, mixture
        made._fitted_on = model.fitted_on
        return made

    @property
    def scoring_model(self) -> Recommender:
        return self.base.scoring_model

    @property
    def fitted_mixture(self) -> FittedMixture:
        """What was learned of answers.

        Raises:
            CapabilityError: events are weighed by agreement.
        """
        _ = self.fitted_on
        if self._mixture is None:
            raise CapabilityError("Reliable(mixture=None) weighs events by agreement and tells no answers apart")
        return self._mixture

    def reliability(self, queries: Queries) -> tuple[Reliability, Ints]:
        """Return how reliable the ratings in histories are, and the position of each in `queries.history.items`.

        Users of the result are the rows of the queries.
        """
        judged, place = self.judged(queries)
        return Reliability.of(self.fitted_mixture, judged.responses, judged.gamma, judged.shares), place

    def judged(self, queries: Queries) -> tuple[Judged, Ints]:
        """Return the ratings in histories as the mixture sees them, and the position of each in the histories."""
        fitted = self.fitted_mixture
        responses, place = Responses.of_queries(queries, self.n_items, self.fitted_on.clock)
        if responses.names != fitted.conditions.names:  # queries know no others
            responses = responses.under(np.zeros((len(responses), 0)), ())
        return Judged.of(fitted, responses), place

    def weights(self, queries: Queries) -> Floats:
        """Return how much each event of histories counts, "events", from 0 to 1; 1 of one that the person confirmed."""
        weights = np.ones(len(queries.values), np.float32)
        if self.mixture is None:
            place, own = self._agreement(queries)
        elif self.fitted_mixture.identified:
            found, place = self.reliability(queries)
            own = found.weights
        else:
            return weights
        weights[place] = own
        if queries.meant is not None:
            weights[queries.meant] = 1.0
        return weights

    def _seen(self, queries: Queries) -> Queries:
        if self._mixture is not None and not self._mixture.identified:
            return queries
        weights = self.weights(queries)
        return queries.with_weights(weights if queries.weights is None else weights * queries.weights)

    def _agreement(self, queries: Queries) -> tuple[Ints, Floats]:
        """Return positions and weights of the counted events of histories, by agreement."""
        place = np.flatnonzero(queries.counted)
        rows, items = queries.history.rows[place], queries.history.items[place]
        scores = np.empty(len(place), np.float32)
        size = max(1, _SCORES // max(1, self.n_items))
        for start in range(0, len(queries), size):
            part = slice(*np.searchsorted(rows, [start, start + size]))
            batch = queries.take(np.arange(start, min(start + size, len(queries))))
            scores[part] = self._inner.score(batch).numpy()[rows[part] - start, items[part]]
        return place, agreement_weights(scores, rows)

    def _read(self, queries: Queries) -> ReadOut:
        return self._inner.read(self._seen(queries))

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        model = self.model.unfitted()
        self._mixture = None
        if self.mixture is not None:
            responses = Responses.of(train)
            self._mixture, found = self.mixture.fit(responses)
            _LOG.info("answers of %s: %s", train.name, self._mixture.reason)
            if self.train and isinstance(model, WeightedFit):
                model = model.weighing(_of_events(train, responses, found))
        self._inner, effort = fitted(model, train, validate, session)
        return effort

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        learned = {} if self._mixture is None else self._mixture.arrays()
        return prefixed(_MODEL, self._inner.arrays()) | prefixed(_MIXTURE, learned)

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._inner = self.model.unfitted().restore(self.fitted_on, part_of(arrays, _MODEL))
        mixture = part_of(arrays, _MIXTURE)
        self._mixture = FittedMixture.restored(mixture) if mixture else None


def _of_events(train: Interactions, responses: Responses, found: Reliability) -> Floats:
    """Return the weight of each event of a log, "events": of a rating that of the user's answers about the item."""
    pairs = responses.user.astype(np.int64) * train.n_items + responses.item
    known, first = np.unique(pairs, return_index=True)
    wanted = train.user_num.astype(np.int64) * train.n_items + train.item_num
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    answered = (known[place] == wanted) & is_rated(train.value, train.kinds)
    return np.where(answered, found.weights[first][place], 1.0).astype(np.float32)
