"""How models read events that say more than that there was one: as features of a state, and as targets of a fit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, cast, final, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.checks import choice
from recsys.data.feedback import (
    KINDS,
    NEGATIVE_HALF_LIFE,
    NEGATIVE_KINDS,
    RatingScale,
    interactions,
    log_preferences,
    query_preferences,
)
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError, ConfigError
from recsys.models.linear.operations import event_weights
from recsys.types import Floats, Mask

_LOG = logging.getLogger(__name__)

Feedback = Literal["events", "liked", "weighted", "signed"]
"""How ratings and kinds of events count; see `FeedbackReader`."""

Weighting = Literal["events", "liked", "weighted"]
"""The readings with one feature for each event, for models that can use no second one."""

NEGATIVE: Final[Mask] = np.array([kind in NEGATIVE_KINDS for kind in KINDS])
"""Whether each kind is evidence against an item."""

_SCALE: Final = "feedback.scale"
"""Name of the array in which a model stores how people rate."""

_FLOOR = 0.3
"""The target of what is disliked as much as can be: it was used all the same."""


@final
@dataclass(frozen=True)
class FeedbackReader:
    """Reads each event as one feature or two, and as a target.

    p_j in [-1, 1] is the preference of event j, read from its rating, against the mean and spread of the history that
    is visible, or from its kind (`recsys.data.feedback.preferences`); w_j is its weight in the query.

        feedback    feature             second feature    target
        events      w_j                 -                 1
        liked       w_j [p_j > 0]       -                 [p_j > 0]
        weighted    w_j (1 + p_j)       -                 .3 + .7 (1 + p_j) / 2
        signed      w_j                 w_j p_j           .3 + .7 (1 + p_j) / 2

    (1 + p) / 2 of a rating is the logistic function of 1.5 times its standardised value. The targets are those of a
    fit; the features are those of the fit and of every query. A dislike or a skip is negative evidence under each
    reading, and no target: it has the features -|p_j| w_j 2^(-age_j / 90 days). It fades by the time since, where the
    log has times, for a person may come to like what bored them. Of several of an item the latest counts, and none
    where a use of the item counts (a dislike takes back the uses before it).

    A reading as signed as this needs a model with two features for each event; a low rating then is evidence of
    interest and, apart from it, of displeasure (as in SVD++, Koren, KDD 2008, where having rated and the rating are two
    terms). The readings and their constants are ours, chosen on two logs.

    Attributes:
        feedback: the reading.
        scale: how people rate in the training log; None where they do not.
        fades: whether negative evidence fades: the log's clock is "seconds".
    """

    feedback: Feedback
    scale: RatingScale | None = None
    fades: bool = False

    @classmethod
    def of(cls, feedback: Feedback, train: Interactions, model: str) -> Self:
        """Prepare the reading of a log, and say it where the log has nothing to read."""
        scale = None if feedback == "events" else RatingScale.of(train)
        if feedback != "events" and not tells(train):
            _LOG.warning("%s: %s has neither ratings nor kinds: feedback %r is 'events'", model, train.name, feedback)
            feedback = "events"
        return cls(feedback, scale, train.clock == "seconds")

    @classmethod
    def of_each(cls, feedback: Feedback, clock: str, model: str) -> Self:
        """Return the reading of a log whose users are in several places, each of which is read by itself.

        Raises:
            CapabilityError: it reads ratings against those of everybody.
        """
        if feedback != "events":
            raise CapabilityError(
                f"{model} with feedback {feedback!r} reads each rating against those of everybody, which a partitioned "
                "log cannot tell; use feedback 'events', or train on the whole log"
            )
        return cls(feedback, None, clock == "seconds")

    @property
    def parts(self) -> int:
        """Features of each event."""
        return 2 if self.feedback == "signed" else 1

    def is_plain(self, queries: Queries) -> bool:
        """Whether the feature of every event is its weight, as where nothing is read but that there are events."""
        return self.feedback == "events" and (queries.kinds is None or not bool(NEGATIVE[queries.kinds].any()))

    def features(self, queries: Queries) -> tuple[Floats, ...]:
        """Return the features of every event, "events" float32 each; 0 for events that are not counted."""
        weight = event_weights(queries)
        if self.is_plain(queries):
            return (weight,)
        preference = query_preferences(queries, self.scale)
        if self.feedback == "liked":
            features = [weight * (preference > 0)]
        elif self.feedback == "weighted":
            features = [weight * (1 + preference)]
        elif self.feedback == "signed":
            features = [weight, weight * preference]
        else:
            features = [weight]
        negative = _negatives(queries)
        if len(negative):
            strength = np.abs(preference[negative])
            if self.fades:
                strength = strength * np.exp2(-np.maximum(queries.ages[negative], 0) / NEGATIVE_HALF_LIFE)
            if queries.weights is not None:
                strength = strength * queries.weights[negative]
            for feature in features:
                feature[negative] = -strength
        return tuple(np.asarray(feature, np.float32) for feature in features)

    def matrices(self, train: Interactions, weights: Floats | None = None) -> tuple[list[sp.csr_matrix], sp.csr_matrix]:
        """Return the features of the uses of a log and the targets, each "users items" sparse float32.

        Of several events of a user with one item the latest counts. A dislike or a skip has its preference as second
        feature, and no other.

        Args:
            train: the log.
            weights: "events", by which features and targets are multiplied; None: 1.
        """
        queries = Queries.from_interactions(train)
        preference, counted = query_preferences(queries, self.scale), queries.counted
        rows, items = queries.history.rows, queries.history.items

        def matrix(chosen: Mask | npt.NDArray[np.integer], values: Floats) -> sp.csr_matrix:
            if weights is not None:
                values = values * weights
            entries = values[chosen].astype(np.float32), (rows[chosen], items[chosen])
            return sp.csr_matrix(entries, shape=(train.n_users, train.n_items))

        one = np.ones(len(items), np.float32)
        if self.feedback == "events":
            uses = matrix(counted, one)
            return [uses], uses
        if self.feedback == "liked":
            liked = matrix(counted & (preference > 0), one)
            return [liked], liked
        targets = matrix(counted, _target(preference))
        if self.feedback == "weighted":
            return [matrix(counted, 1 + preference)], targets
        uses = matrix(counted, one)
        apart = np.concatenate([np.flatnonzero(counted), _negatives(queries)])
        return [uses, matrix(apart, preference)], targets

    def log_features(self, train: Interactions) -> tuple[Floats, Floats]:
        """Return the first feature and the target of every event of a log, "events" each; 0 for dislikes and skips."""
        preference = log_preferences(train, self.scale)
        pairs = train.user_num.astype(np.int64) * train.n_items + train.item_num
        used = np.ones(len(train), np.bool_) if train.kinds is None else interactions(train.kinds, pairs)
        feature = target = used.astype(np.float32)
        if self.feedback == "liked":
            feature = target = np.asarray(used & (preference > 0), np.float32)
        elif self.feedback == "weighted":
            feature, target = used * (1 + preference), used * _target(preference)
        return feature.astype(np.float32), target.astype(np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what a bundle holds of the reading: nothing where events are read alike on a log without seconds."""
        scale = [np.nan] * 3 if self.scale is None else [self.scale.mean, self.scale.spread, self.scale.highest]
        code = get_args(Feedback).index(self.feedback)
        return {_SCALE: np.array([code, self.fades, *scale], np.float64)}

    @classmethod
    def restored(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Restore the result of `arrays`; bundles of earlier versions read events alike."""
        if _SCALE not in arrays:
            return cls("events")
        code, fades, *scale = arrays[_SCALE].tolist()
        known = None if np.isnan(scale[0]) else RatingScale(*scale)
        return cls(cast("Feedback", get_args(Feedback)[int(code)]), known, bool(fades))


def check_weighting(feedback: object, model: str) -> None:
    """Raise a ConfigError unless a model that has one feature for each event can read events like this."""
    if feedback == "signed":
        raise ConfigError(
            f"feedback is 'signed', which {model} does not take: it has one feature for each event, and signed needs a "
            "second one for likes and dislikes; use 'weighted' or 'liked', or a model that takes it, such as EASE"
        )
    choice("feedback", feedback, Weighting)


def tells(log: Interactions) -> bool:
    """Return whether a log says more than that there were events: ratings that differ, or kinds."""
    differ = log.kinds is not None and len(log) > 0 and int(log.kinds.min()) != int(log.kinds.max())
    return differ or RatingScale.of(log) is not None


def readings_of(model: type) -> tuple[Feedback, ...]:
    """Return the values that a model's argument `feedback` takes; none where it has no such argument."""
    own = vars(model).get("__init__")
    hint = None if own is None else get_type_hints(own).get("feedback")
    return cast("tuple[Feedback, ...]", get_args(hint))


def _target(preference: Floats) -> Floats:
    return np.asarray(_FLOOR + (1 - _FLOOR) * (1 + preference) / 2, np.float32)


def _negatives(queries: Queries) -> npt.NDArray[np.int64]:
    """Return the positions of the dislikes and skips that are negative evidence, one for each item of a history."""
    if queries.kinds is None:
        return np.zeros(0, np.int64)
    negative = np.flatnonzero(NEGATIVE[queries.kinds] & (queries.history.items != UNKNOWN))
    if len(negative) == 0:
        return negative
    pair = queries.history.rows * (int(queries.history.items.max()) + 1) + queries.history.items
    # The first of a reversed column is the latest event.
    pairs, first = np.unique(pair[negative][::-1], return_index=True)
    return np.sort((negative[len(negative) - 1 - first])[~np.isin(pairs, pair[queries.counted])])
