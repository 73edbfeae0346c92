"""TimeSVD: rating prediction by timeSVD++ and, without its time terms, SVD++."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import choice, fraction, positive, seed_of_draws
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.models.base import Recommender, Validate
from recsys.models.calibration_set import newest_part
from recsys.models.time_svd.network import Calendar, Drift, Examples, Moments, RatingTask, TimeSVDNetwork
from recsys.training.bags import Bags
from recsys.training.session import Session
from recsys.training.trainable import Optimization
from recsys.types import Ints, Items, Mask

_CALENDAR = "calendar."
"""Prefix of the arrays of the calendar."""


@final
class TimeSVD(Recommender):
    """Predict a rating from biases and vectors that drift with time.

        r_ui(t)  = mu + b_u(t) + b_i(t) + q_i . ( p_u(t) + |N(u)|^-1/2 sum_(j in N(u)) y_j )
        b_u(t)   = b_u + alpha_u dev_u(t) + b_u,day(t)        p_u(t) = p_u + alpha_pu dev_u(t)
        b_i(t)   = b_i + b_i,bin(t)                           dev_u(t) = sign(t - t_u) |t - t_u|^0.4

    t is in days, t_u the mean day of the user's events, N(u) the items of the visible history, rated or not. Source:
    Koren, *Collaborative Filtering with Temporal Dynamics*, KDD 2009, section 4. With `drift="none"`, `time_bins=0` and
    `day_biases=False` it is SVD++ (Koren, *Factorization Meets the Neighborhood*, KDD 2008), and needs no clock.

    Omitted from the paper's model: the user's scale c_u(t) of the item bias, and the day-specific p_u,day.

    Trained by Adam on squared error (see `RatingTask`). After training, later times use the last bin, dev stays at its
    value of the user's last training event (`clip_drift`), and b_u,day is 0 on every day without a training event of
    the user, so that it explains the past and predicts nothing.

    A ranking by predicted rating is poor, because the items people rate are not those they rate highly; `score`
    provides it for completeness. Events after training enter through N(u) alone: p_u and b_u are learned vectors.

    Args:
        embedding_size: d; 0 leaves the biases.
        drift: which parameters of a user drift.
        time_bins: bins of equal length for the item biases; 0 for none.
        day_biases: whether every user has a bias for every day with an event.
        clip_drift: whether dev is clipped to its range in training.
        regularization: lambda of q, p and y.
        bias_regularization: lambda of b_u and b_i.
        time_regularization: lambda of alpha, b_i,bin and b_u,day.
        held_out: share of the newest rated events held out for early stopping by their RMSE; with 0 the metric given to
            `fit` is used.
        optimization: epochs, batches, step size, early stopping.
        seed: fixes initial values and batches.

    Raises:
        ConfigError: a setting is out of range.
        CapabilityError: the log has no ratings, or no times in seconds for the time terms (when fitting).
    """

    def __init__(
        self,
        embedding_size: int = 16,
        drift: Drift = "all",
        time_bins: int = 10,
        day_biases: bool = False,
        clip_drift: bool = True,
        regularization: float = 30.0,
        bias_regularization: float = 2.0,
        time_regularization: float = 40.0,
        held_out: float = 0.1,
        optimization: Optimization = Optimization(epochs=60, batch_size=4096, learning_rate=0.02),
        seed: int = 0,
    ) -> None:
        choice("drift", drift, Drift)
        fraction("held_out", held_out)
        self.embedding_size = embedding_size
        self.drift: Drift = drift
        self.time_bins = time_bins
        self.day_biases = day_biases
        self.clip_drift = clip_drift
        self.regularization = regularization
        self.bias_regularization = bias_regularization
        self.time_regularization = time_regularization
        self.held_out = held_out
        self.optimization = optimization
        seed_of_draws(seed)
        self.seed = seed
        for name in ("embedding_size", "time_bins", "regularization", "bias_regularization", "time_regularization"):
            positive(name, getattr(self, name), zero=True)
        self._network: TimeSVDNetwork
        self._calendar: Calendar | None = None

    @property
    def reads_time(self) -> bool:
        """Whether any term depends on time; without one it is SVD++."""
        return self.drift != "none" or self.time_bins > 0 or self.day_biases

    @torch.inference_mode()
    def predict(self, queries: Queries, items: Items) -> Float[Tensor, "queries n"]:
        """Return the predicted rating of each item by each query's user at `now`, not clipped to the scale.

        Parameters of unknown users and items are 0: an unknown user without history gets mu + b_i(t), an unknown item
        mu + b_u(t).

        Args:
            queries: the users, their visible histories, and when.
            items: "queries n", item numbers or `UNKNOWN`.

        Raises:
            NotFittedError: before `fit`.
            CapabilityError: the queries have event weights, which the model does not read.
        """
        _ = self.fitted_on
        if queries.weights is not None:
            raise CapabilityError("TimeSVD cannot use event weights: N(u) is a set; use a fold-in model to forget")
        bias, vector, moments = self._user_side(queries)
        bins = moments.bin[:, None].expand(-1, items.shape[1])
        item_bias, item_vector = self._network.item_side(self._rows(items, self.n_items), bins)
        return bias[:, None] + item_bias + torch.einsum("qd,qnd->qn", vector, item_vector)

    @torch.inference_mode()
    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        bias, vector, moments = self._user_side(queries)
        network = self._network
        scores = bias[:, None] + network.item_bias[:-1] + vector @ network.item[:-1].T
        if network.item_bin is not None:
            scores += network.item_bin[:-1].T[moments.bin]
        return scores

    def _user_side(self, queries: Queries) -> tuple[Float[Tensor, " queries"], Float[Tensor, "queries dim"], Moments]:
        """Return mu + b_u(t), the whole vector of the user, and the moments."""
        device = self._network.mean.device
        moments = self._moments(queries.users, queries.now).map(lambda each: each.to(device))
        users = self._rows(queries.users, len(self.fitted_on.users))
        bias, vector = self._network.user_side(users, moments)
        return bias, vector + self._network.history_vectors(_used(queries).to(device)), moments

    def _moments(self, users: Items, times: Ints) -> Moments:
        if self._calendar is None:
            return Moments.none(len(users))
        return self._calendar.moments(users, times, self.time_bins, clip=self.clip_drift)

    def _rows(self, numbers: Items, unknown: int) -> Tensor:
        """Return rows of the tables; the last one for unknown numbers."""
        rows = np.where(numbers == UNKNOWN, unknown, numbers).astype(np.int64)
        return torch.from_numpy(rows).to(self._network.mean.device)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        rated = self._rated(train)
        late = newest_part(train, self.held_out)
        if not (rated & late).any() or not (rated & ~late).any():
            late = np.zeros(len(train), np.bool_)
        early, early_rated = train.select(~late), rated[~late]
        self._calendar = Calendar.of(early) if self.reads_time else None
        self._build(train.n_users, train.n_items)
        self._start(early.select(early_rated))
        task = self._task(early, early_rated)
        metric = None if validate is None else lambda: validate(self)
        if late.any():
            held_out = self._examples(train, rated & late)
            metric = lambda: self._negative_rmse(task, held_out)  # noqa: E731
        from recsys.training.lightning import train as run_training  # noqa: PLC0415 (two seconds to import)

        epochs = run_training(
            task,
            self.optimization,
            session,
            identity=json.dumps([self.parameters_of_constructor(), train.fingerprint], sort_keys=True),
            validate=metric,
        )
        return epochs, epochs * task.examples_per_epoch

    def _task(self, log: Interactions, rated: Mask) -> RatingTask:
        """Return the training task on the rated events of a log."""
        return RatingTask(
            self._network,
            self._examples(log, rated),
            _used(Queries.from_interactions(log)),
            (self.bias_regularization, self.regularization, self.time_regularization),
            self.optimization.batch_size,
            self.seed,
        )

    def _rated(self, train: Interactions) -> Mask:
        """Return which events have a rating, "events".

        Raises:
            CapabilityError: the log is not one of ratings, or not of the times that the settings need.
        """
        rated = np.isfinite(train.value)
        values = train.value[rated]
        if len(values) == 0 or values.min() == values.max():
            reason = "no event has one" if len(values) == 0 else f"all are {values[0]:g}"
            raise CapabilityError(
                f"TimeSVD predicts ratings, and {train.name} has none to learn from ({reason}); use a model that ranks"
            )
        if self.reads_time and train.clock != "seconds":
            raise CapabilityError(
                f"TimeSVD with time terms counts days, and {train.name} has clock {train.clock!r}; set drift to "
                "'none', time_bins to 0 and day_biases to false, which is SVD++"
            )
        return rated

    def _examples(self, log: Interactions, chosen: Mask) -> Examples:
        return Examples.of(log, chosen, self._moments(log.user_num[chosen], log.time[chosen]))

    @staticmethod
    def _negative_rmse(task: RatingTask, examples: Examples) -> float:
        with torch.inference_mode():
            examples = examples.map(lambda each: each.to(task.network.mean.device))
            return -float(task.squared_error(examples).sqrt())

    def _build(self, n_users: int, n_items: int) -> None:
        days = len(self._calendar.days) if self._calendar is not None and self.day_biases else 0
        source = torch.Generator().manual_seed(self.seed)
        self._network = TimeSVDNetwork(n_users, n_items, self.embedding_size, self.drift, self.time_bins, days, source)

    def _start(self, rated: Interactions) -> None:
        """Set mu, and the vectors of items without a rating to 0, which training does not change."""
        with torch.no_grad():
            self._network.mean.fill_(float(rated.value.mean(dtype=np.float64)))
            unrated = np.bincount(rated.item_num, minlength=rated.n_items) == 0
            self._network.item[:-1][torch.from_numpy(unrated)] = 0.0

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = {name: value.detach().cpu().numpy() for name, value in self._network.state_dict().items()}
        if self._calendar is not None:
            arrays |= {_CALENDAR + name: value for name, value in vars(self._calendar).items()}
        return arrays

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        dated = {k.removeprefix(_CALENDAR): v.copy() for k, v in arrays.items() if k.startswith(_CALENDAR)}
        self._calendar = Calendar(**dated) if dated else None
        self._build(len(self.fitted_on.users), len(self.fitted_on.items))
        own = {k: torch.from_numpy(v.copy()) for k, v in arrays.items() if not k.startswith(_CALENDAR)}
        self._network.load_state_dict(own)
        self._network.eval()


def _used(queries: Queries) -> Bags:
    """Return N(u) of each query: the known items of its history, each once."""
    return Bags.of(queries.history.select(queries.counted))
