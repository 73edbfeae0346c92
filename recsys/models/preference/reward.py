"""PersonaReward: which of two answers a person prefers, from the vectors of the answers and a handful of choices."""

from __future__ import annotations

import json
from typing import final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.checks import choice, positive, seed_of_draws, whole
from recsys.data.clusters import spherical_kmeans, unit_rows
from recsys.data.pairs import PairLog, Pairs
from recsys.errors import CapabilityError, DataError, NotFittedError
from recsys.models.preference.network import Kind
from recsys.training.session import Session
from recsys.training.trainable import LossAndParts, Optimization, Trainable
from recsys.types import Doubles, Floats, Items

_SPREAD = 0.1
_NEWTON = 30
_SHARPNESS = 4.0
"""Of the attention on items at the start."""


@final
class RewardTask(Trainable):
    """The parameters of a reward, and softplus(s_rejected - s_chosen) over pairs, with N(0, 1) priors on users."""

    vectors: Tensor
    users: Tensor
    winner: Tensor
    loser: Tensor
    prior: Tensor

    def __init__(
        self,
        kind: Kind,
        log: PairLog,
        vectors: Floats,
        size: int,
        personas: int,
        regularization: float,
        optimization: Optimization,
        seed: int,
    ) -> None:
        super().__init__(optimization.batch_size, seed)
        self.kind, self.regularization = kind, regularization
        source = torch.Generator().manual_seed(seed)
        dim, users = vectors.shape[1], len(log.users)

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(_SPREAD * torch.randn(*shape, generator=source))

        self.base = nn.Parameter(torch.zeros(personas, dim))
        self.heads = drawn(personas, size, dim)
        self.user = drawn(users, personas * size)
        self.gate = nn.Parameter(torch.zeros(personas, dim))
        self.gate_bias = nn.Parameter(torch.zeros(personas))
        if personas > 1:
            _start_gates(self, vectors, personas, seed)
        if kind == "pooled":
            self.heads.requires_grad_(False).zero_()
            self.user.requires_grad_(False).zero_()
        count = np.maximum(np.bincount(log.pairs.user, minlength=users), 1)
        buffers = {
            "vectors": torch.from_numpy(vectors),
            "users": _long(log.pairs.user),
            "winner": _long(log.pairs.winner),
            "loser": _long(log.pairs.loser),
            "prior": torch.from_numpy((1 / count)[log.pairs.user].astype(np.float32)),
        }
        for name, values in buffers.items():
            self.register_buffer(name, values, persistent=False)

    @property
    def rows_per_epoch(self) -> int:
        return len(self.users)

    @property
    def examples_per_epoch(self) -> int:
        return len(self.users)

    def parts(self, vectors: Float[Tensor, "n dim"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n coordinates"]]:
        """Return what everybody's reward of a vector is, and what each of a user's coordinates adds to it."""
        attention = (vectors @ self.gate.T + self.gate_bias).softmax(1)
        common = (attention * (vectors @ self.base.T)).sum(1)
        each = torch.einsum("nd,krd->nkr", vectors, self.heads) * attention[:, :, None]
        return common, each.flatten(1)

    def coordinates(self, user: Float[Tensor, "n coordinates"]) -> Float[Tensor, "n coordinates"]:
        """Return a user's coordinates; of "mixture" weights that sum to 1."""
        return user.softmax(1) if self.kind == "mixture" else user

    def loss(self, epoch: int, step: int) -> LossAndParts:
        rows = self.batch(epoch, step, self.users.device)
        user = self.user[self.users[rows]]
        winner, loser = (self.parts(self.vectors[items[rows]]) for items in (self.winner, self.loser))
        margin = winner[0] - loser[0] + (self.coordinates(user) * (winner[1] - loser[1])).sum(1)
        main = F.softplus(-margin).mean()
        prior = 0.5 * (user.square().sum(1) * self.prior[rows]).mean()
        shared = self.regularization * (self.base.square().sum() + self.heads.square().sum())
        return main + prior + shared, {"main_loss": main}


@final
class PersonaReward:
    """A reward s_u(x) of item vectors, learned from who chose what, and computed for a new user from a few choices.

        s_u(x) = sum_k a_k(x) U_uk . x,   U_uk = h_k0 + sum_r z_ukr h_kr,   a(x) = softmax_k(g_k . x + c_k)

    Persona k of a user is a vector of the reward; which persona speaks for an item depends on the item. h, g and c are
    shared, z is a user's own with prior N(0, 1), so that a new user's z is the solution of a small convex problem
    (logistic regression). Kinds: "pooled" has no z; "vector" has one persona, so s_u is linear in x: LoRe's basis of
    rewards (Bose et al., arXiv 2504.14439) with free weights; "mixture" is LoRe with weights that sum to 1; "persona"
    has K. The attention begins at the clusters of the item vectors (spherical k-means); all else at random.

    Args:
        kind: "pooled", "vector", "mixture" or "persona".
        embedding_size: coordinates z of each persona of a user; the number of prototypes of "mixture".
        personas: K, read by "persona".
        regularization: L2 penalty of h.
        optimization: epochs, batches, step size.
        seed: fixes initial values and batches.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        kind: Kind = "persona",
        embedding_size: int = 1,
        personas: int = 4,
        regularization: float = 1e-3,
        optimization: Optimization = Optimization(epochs=150, batch_size=512, learning_rate=0.02),
        seed: int = 0,
    ) -> None:
        choice("kind", kind, Kind)
        whole("embedding_size", embedding_size)
        whole("personas", personas)
        positive("regularization", regularization, zero=True)
        seed_of_draws(seed)
        self.kind: Kind = kind
        self.embedding_size, self.personas = embedding_size, personas
        self.regularization, self.optimization, self.seed = regularization, optimization, seed
        self._task: RewardTask | None = None
        self._centre: Floats
        self._scale: float

    def fit(self, log: PairLog, session: Session | None = None) -> PersonaReward:
        """Fit to a log of pairs with item vectors.

        Raises:
            DataError: the log has no vectors.
        """
        if log.vectors is None:
            raise DataError(f"{log.name}: a reward reads item vectors, and it has none; read it with vectors=FILE")
        self._centre = log.vectors.mean(0)
        self._scale = float(np.sqrt(((log.vectors - self._centre) ** 2).mean())) or 1.0
        personas = self.personas if self.kind == "persona" else 1
        task = RewardTask(
            self.kind,
            log,
            self._standard(log.vectors),
            self.embedding_size,
            personas,
            self.regularization,
            self.optimization,
            self.seed,
        )
        from recsys.training.lightning import train as run_training  # noqa: PLC0415 (two seconds to import)

        settings = self.kind, self.embedding_size, personas, self.regularization, self.seed, log.name, len(log.pairs)
        run_training(task, self.optimization, session or Session(), identity=json.dumps(settings))
        self._task = task
        return self

    @property
    def parameters(self) -> int:
        """Number of shared parameters, without the coordinates of users."""
        return sum(part.numel() for part in (self._fitted.base, self._fitted.heads, self._fitted.gate))

    @property
    def users(self) -> Doubles:
        """ "users coordinates", z of the users of the training log."""
        return self._fitted.coordinates(self._fitted.user.detach()).double().numpy()

    @torch.inference_mode()
    def bases(self, vectors: Floats) -> tuple[Doubles, Doubles]:
        """Return "items", everybody's reward, and "items coordinates", what each coordinate of a user adds to it.

        A new user's z is N(0, I) before any choice: the belief from which `recsys.elicitation` asks.

        Raises:
            CapabilityError: the weights of a "mixture" sum to 1, so that their prior is not normal.
            NotFittedError: before `fit`.
        """
        task = self._fitted
        if self.kind == "mixture":
            raise CapabilityError("PersonaReward(kind='mixture') has no normal prior; use 'vector' or 'persona'")
        common, each = task.parts(torch.from_numpy(self._standard(vectors)))
        return common.double().numpy(), each.double().numpy()

    @torch.inference_mode()
    def margins(self, vectors: Floats, pairs: Pairs, users: Doubles) -> Doubles:
        """Return "pairs": s_u(winner) - s_u(loser).

        Args:
            vectors: "items dim", of the same kind as in training; the items may be new.
            pairs: in the numbers of `users` and `vectors`.
            users: "users coordinates", of `users` or of `fold_in`.
        """
        base, each = self._differences(vectors, pairs)
        return np.asarray(base + (each * users[pairs.user]).sum(1))

    @torch.inference_mode()
    def fold_in(self, vectors: Floats, pairs: Pairs, users: int) -> Doubles:
        """Return "users coordinates": z of new users from their choices; 0, everybody's reward, without any.

            minimise  sum_pairs softplus(-(s_u(chosen) - s_u(rejected))) + |z_u|^2 / 2       by Newton's method

        Args:
            vectors: "items dim".
            pairs: choices of the new users, numbered from 0.
            users: number of new users.

        Raises:
            CapabilityError: a "mixture" has no convex fold-in.
            NotFittedError: before `fit`.
        """
        task = self._fitted
        if self.kind == "mixture":
            raise CapabilityError("PersonaReward(kind='mixture') cannot fold in a new user; use 'vector' or 'persona'")
        base, each = self._differences(vectors, pairs)
        size = task.user.shape[1]
        found = np.zeros((users, size))
        owner, one, feature = (
            torch.from_numpy(pairs.user.astype(np.int64)),
            torch.from_numpy(base),
            torch.from_numpy(each),
        )
        outer = feature[:, :, None] * feature[:, None, :]
        point = torch.from_numpy(found)
        for _ in range(_NEWTON):
            wrong = torch.sigmoid(-(one + (feature * point[owner]).sum(1)))
            slope = point.clone().index_add_(0, owner, -wrong[:, None] * feature)
            curve = torch.eye(size, dtype=torch.float64).repeat(users, 1, 1)
            curve.index_add_(0, owner, (wrong * (1 - wrong))[:, None, None] * outer)
            point = point - torch.linalg.solve(curve, slope)
        return point.numpy()

    @property
    def _fitted(self) -> RewardTask:
        if self._task is None:
            raise NotFittedError("PersonaReward is not fitted; call fit(pair_log) first")
        return self._task

    def _standard(self, vectors: Floats) -> Floats:
        return ((vectors - self._centre) / np.float32(self._scale)).astype(np.float32)

    @torch.inference_mode()
    def _differences(self, vectors: Floats, pairs: Pairs) -> tuple[Doubles, Doubles]:
        common, each = self._fitted.parts(torch.from_numpy(self._standard(vectors)))
        winner, loser = _long(pairs.winner), _long(pairs.loser)
        return (common[winner] - common[loser]).double().numpy(), (each[winner] - each[loser]).double().numpy()


def _start_gates(task: RewardTask, vectors: Floats, personas: int, seed: int) -> None:
    """Let each persona speak for one cluster of item vectors."""
    unit = unit_rows(vectors.astype(np.float64))
    cluster = spherical_kmeans(unit, personas, seed)
    with torch.no_grad():
        for number in range(int(cluster.max()) + 1):
            centre = unit[cluster == number].mean(0)
            task.gate[number] = torch.from_numpy(_SHARPNESS * centre).float()


def _long(numbers: Items) -> Int[Tensor, " n"]:
    return torch.from_numpy(numbers.astype(np.int64))
