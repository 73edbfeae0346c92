"""SASRec, a plain peer: self-attention over the newest events, sampled softmax at all positions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.models.base import Recommender, Validate
from recsys.training import losses, sampling
from recsys.training.session import Session
from recsys.training.trainable import LossAndParts, Optimization, Trainable


@final
class Transformer(nn.Module):
    """Causal self-attention over item and position vectors; items are scored with their own input vectors."""

    def __init__(self, n_items: int, size: int, length: int, blocks: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.item = nn.Parameter(torch.randn(n_items, size) * size**-0.5)
        self.position = nn.Parameter(torch.randn(length, size) * size**-0.5)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(size, heads, size, dropout, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, blocks, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(size)

    def forward(self, items: Int[Tensor, "users length"]) -> Float[Tensor, "users length dim"]:
        """Return the state after each event; what pads a sequence stands behind it and changes nothing."""
        length = items.shape[1]
        vectors = F.embedding(items, self.item) * self.item.shape[1] ** 0.5 + self.position[:length]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=items.device)
        state: Tensor = self.norm(self.layers(self.dropout(vectors), mask, is_causal=True))
        return state


@final
class Task(Trainable):
    """Batches of users; every event after the first of a window is a target, items that the user has are no negatives.

    Args:
        network: with the parameters.
        windows: "users length+1", the newest items of users with a target, in order, padded with the number of items:
            as many as the network reads, and the target of the last.
        n_items: items of the catalogue.
        negatives: drawn for each batch.
        batch_size: users per step.
        seed: of the order of users.
    """

    windows: Tensor

    def __init__(
        self,
        network: Transformer,
        windows: Int[Tensor, "users length"],
        n_items: int,
        negatives: int,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(batch_size, seed)
        self.network = network
        self.n_items = n_items
        self.negatives = negatives
        self.register_buffer("windows", windows, persistent=False)

    @property
    def rows_per_epoch(self) -> int:
        return len(self.windows)

    @property
    def examples_per_epoch(self) -> int:
        return int((self.windows[:, 1:] < self.n_items).sum())

    def loss(self, epoch: int, step: int) -> LossAndParts:
        device = self.windows.device
        windows = self.windows[self.batch(epoch, step, device)]
        windows = windows[:, : int((windows < self.n_items).sum(1).max())]  # most histories are short
        target = windows[:, 1:] < self.n_items
        state = self.network(windows[:, :-1].clamp(max=self.n_items - 1))[target]
        wanted = windows[:, 1:][target]
        source = sampling.generator(device, self.seed, epoch, step)
        drawn = sampling.draw_items(None, self.n_items, (self.negatives,), source)
        own = torch.zeros(len(windows), self.n_items + 1, dtype=torch.bool, device=device)
        own.scatter_(1, windows, value=True)
        loss = losses.sampled_softmax(
            (state * self.network.item[wanted]).sum(1),
            state @ self.network.item[drawn].T,
            None,
            torch.full((1, self.negatives), math.log(self.negatives / self.n_items), device=device),
            own[:, drawn][target.nonzero()[:, 0]],
        )
        return loss, {"main_loss": loss.detach()}


@final
class SASRec(Recommender):
    """Predict a user's next item by self-attention over the newest events.

    Source: Kang and McAuley, *Self-Attentive Sequential Recommendation*, ICDM 2018 (arXiv 1808.09781), with a sampled
    softmax in place of one negative, as which it is much stronger (Petrov and Macdonald, RecSys 2023, gSASRec; Zhai et
    al., ICML 2024); the full softmax costs three times as much a step on 3,416 items.

    Args:
        embedding_size: d, also of the inner layers.
        length: newest events that are read.
        blocks: layers of attention.
        heads: of each.
        dropout: of vectors and layers.
        negatives: drawn for each batch, scaled up to the catalogue.
        optimization: epochs, users per step, step size, early stopping.
        seed: fixes initial values, batches and dropout.
    """

    def __init__(
        self,
        embedding_size: int = 64,
        length: int = 128,
        blocks: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        negatives: int = 256,
        optimization: Optimization = Optimization(200, 16, 1e-3, patience=10),
        seed: int = 0,
    ) -> None:
        self.embedding_size = embedding_size
        self.length = length
        self.blocks = blocks
        self.heads = heads
        self.dropout = dropout
        self.negatives = negatives
        self.optimization = optimization
        self.seed = seed
        self._network: Transformer

    @property
    def folds_in(self) -> bool:
        return True

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self._build(train.n_items)
            lengths = np.diff(train.indptr)
            windows = torch.from_numpy(
                _windows(train.item_num, train.indptr, self.length + 1, train.n_items)[lengths > 1]
            )
            sizes = train.n_items, self.negatives, self.optimization.batch_size
            task = Task(self._network, windows, *sizes, self.seed)
            identity = json.dumps([self.parameters_of_constructor(), train.fingerprint], sort_keys=True)
            from recsys.training.lightning import train as run_training  # noqa: PLC0415 (two seconds to import)

            epochs = run_training(
                task,
                self.optimization,
                session,
                identity=identity,
                validate=None if validate is None else lambda: validate(self),
            )
        self._network.to("cpu")
        return epochs, epochs * task.examples_per_epoch

    def _build(self, n_items: int) -> None:
        shape = n_items, self.embedding_size, self.length, self.blocks, self.heads, self.dropout
        self._network = Transformer(*shape)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        if queries.weights is not None:
            raise CapabilityError("SASRec cannot use event weights: attention decides what an event counts")
        history = queries.history.select(queries.counted)
        windows = _windows(history.items, history.indptr, self.length, self.n_items)
        device = self._network.item.device
        lengths = np.minimum(history.lengths, self.length)
        last = torch.from_numpy(lengths - 1).to(device)
        with torch.inference_mode():
            items = torch.from_numpy(windows[:, : max(1, lengths.max(initial=0))]).to(device)
            items = items.clamp(max=self.n_items - 1)
            state = self._network(items)[torch.arange(len(last)), last.clamp(min=0)]
            scores: Tensor = state @ self._network.item.T
            scores = scores * (last >= 0)[:, None]
        return scores.cpu()

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {name: value.detach().cpu().numpy() for name, value in self._network.state_dict().items()}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._build(self.n_items)
        self._network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in arrays.items()})
        self._network.eval()


def _windows(
    items: npt.NDArray[np.int32], indptr: npt.NDArray[np.int64], length: int, padding: int
) -> npt.NDArray[np.int64]:
    """Return "users length": the newest items of each user, in order, then `padding`."""
    lengths = np.minimum(np.diff(indptr), length)
    position = np.arange(length)
    index = (indptr[1:] - lengths)[:, None] + position
    inside = position < lengths[:, None]
    padded = np.append(items, padding).astype(np.int64)
    return np.where(inside, padded[np.minimum(index, len(items))], padding)
