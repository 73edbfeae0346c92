"""The scores of AMP-CF as modules of padded histories, or of known users: for programs without this library."""

from __future__ import annotations

from typing import final

from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.models.ampcf.network import EmbeddedPersonas, HistoryPersonas, PersonaScorer
from recsys.models.ampcf.training import log_share


@final
class HistoryScores(nn.Module):
    """Scores all items for padded histories: the scores of `AMPCF` with `users="history"`.

    Args:
        reader: personas from histories.
        scorer: of items.
    """

    def __init__(self, reader: HistoryPersonas, scorer: PersonaScorer) -> None:
        super().__init__()
        self.reader, self.scorer = reader, scorer
        self.routing: Tensor
        self.register_buffer("routing", reader.routing().detach())

    def forward(
        self, items: Int[Tensor, "queries length"], weights: Float[Tensor, "queries length"]
    ) -> Float[Tensor, "queries items"]:
        """Return the scores; `items` are distinct numbers, anything where the weight is 0."""
        known = items.clamp(min=0)
        routing = self.routing[known] * weights[:, :, None]  # "queries length personas"
        mass = routing.sum(1)
        personas = routing.transpose(1, 2) @ self.reader.input[known]
        score: Tensor = self.scorer(personas / self.reader.norm(mass)[:, :, None], None, log_share(mass)).score
        return score


@final
class UserScores(nn.Module):
    """Scores all items for users of the training log: the scores of `AMPCF` with `users="embedding"`.

    Args:
        reader: personas of the users.
        scorer: of items.
    """

    def __init__(self, reader: EmbeddedPersonas, scorer: PersonaScorer) -> None:
        super().__init__()
        self.reader, self.scorer = reader, scorer

    def forward(self, users: Int[Tensor, " queries"]) -> Float[Tensor, "queries items"]:
        """Return the scores."""
        score: Tensor = self.scorer(self.reader(users)).score
        return score
