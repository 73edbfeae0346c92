"""Lists of people who wrote what they like: the text is what is known of them, and what they did since."""

from __future__ import annotations

import json
from typing import Final, final

import numpy as np
import torch

from recsys.data.queries import Queries
from recsys.errors import DataError
from recsys.events.store import EventStore
from recsys.explanations.reasons.texts import explain_text, written_texts
from recsys.models.base import Recommendations, Recommender
from recsys.models.memories.text.grammar import parse, render
from recsys.models.memories.text.reading import TextReader
from recsys.models.memories.text.state import TasteText
from recsys.serving.catalogue import Catalogue
from recsys.serving.lists.answered import Asked
from recsys.serving.norms.norms import Bound
from recsys.serving.records import RecommendationList, Summary
from recsys.serving.users.state import excluding

SUMMARY: Final = "summary"
"""Name of what is stored of a user: the text and its date."""

_CACHED: Final = 10_000
"""Users of whom it is known in memory what they wrote, mostly nothing."""


@final
class SummaryLists:
    """Reads and writes texts by a model.

    Args:
        model: a fitted model.
        fingerprint: of the model.
        catalogue: its items.
        store: holds what people wrote.
    """

    def __init__(self, model: Recommender, fingerprint: str, catalogue: Catalogue, store: EventStore) -> None:
        self._model = model
        self._fingerprint = fingerprint
        self._catalogue = catalogue
        self._store = store
        self._reader: TextReader | None = None
        self._written: dict[str, tuple[str, int] | None] = {}
        self._version = 0

    @property
    def _reading(self) -> TextReader:
        if self._reader is None:
            self._reader = TextReader(self._model)
        return self._reader

    def checked(self, text: str) -> str:
        """Return a text in the words of the grammar.

        Raises:
            DataError: it cannot be read; see `recsys.models.memories.text.grammar.parse`.
        """
        return render(parse(text, self._reading.tables), self._reading.tables)

    def stored(self, user_id: str, version: int) -> tuple[str, int] | None:
        """Return the text that a user wrote, and when; None without one. Read once in each version of settings."""
        if version != self._version or len(self._written) >= _CACHED:
            self._written.clear()
            self._version = version
        if user_id not in self._written:
            content = self._store.settings(user_id).get(SUMMARY)
            said = None if content is None else json.loads(content)
            self._written[user_id] = None if said is None else (str(said["text"]), int(said["time"]))
        return self._written[user_id]

    def of(self, user_id: str, queries: Queries, version: int) -> Summary:
        """Return what the user wrote, as of a version of settings, else what the history says."""
        stored = self.stored(user_id, version)
        if stored is not None:
            return Summary(stored[0], "person", stored[1], int(self._since(queries, stored[1]).sum()))
        (text,) = written_texts(self._model, queries, self._reading)
        return Summary(render(text, self._reading.tables), "history", None, 0)

    def recommend(
        self, bound: Bound, queries: Queries, text: str, written: int | None, asked: Asked
    ) -> RecommendationList | None:
        """Return the list of a text and of what was done since; None where the text can no longer be read.

        Args:
            bound: what binds the list.
            queries: the user; only events after the text count, and nothing of the history is listed.
            text: what the user wrote.
            written: when, Unix seconds.
            asked: what the request asks for; its persona is not among them.
        """
        reader = self._reading
        try:
            said = parse(text, reader.tables)
        except DataError:  # a model of another catalogue: the person is asked to look at the text, the history counts
            return None
        if asked.filters.names_items:
            queries = excluding(queries, self._catalogue.outside(asked.filters))
        plain, _ = self._listed(said, queries, written, asked.n)
        rules = bound.rules
        if rules is not None:
            queries = rules.allowed(queries)
            plain, scores = self._listed(said, queries, written, asked.n)
            if not rules.keeps(plain):
                _, plain = rules.decide(scores, asked.n)
        items = explain_text(reader, said, plain.items[0], plain.scores[0])
        return RecommendationList(
            self._fingerprint,
            int(queries.now[0]),
            0 if written is None else int(self._since(queries, written).sum()),
            (),
            tuple(items),
            reasons="unsearched",
        )

    def _listed(
        self, text: TasteText, queries: Queries, written: int | None, n: int
    ) -> tuple[Recommendations, np.ndarray]:
        reader = self._reading
        excluded = np.zeros(reader.model.n_items, np.bool_)
        seen = queries.excluded.items
        excluded[seen[seen >= 0]] = True
        since = np.zeros(len(queries.times), np.bool_) if written is None else self._since(queries, written)
        events, count = None, int(since.sum())
        if count:
            with torch.inference_mode():
                events = reader.model.score(self._model.read(queries.keep(since)).queries)[0].float().numpy()
        items, scores = reader.recommend(text, excluded, n, events, count)
        every = reader.all_scores(text, excluded, events, count)
        return Recommendations(items[None], scores[None]), every.astype(np.float64)

    @staticmethod
    def _since(queries: Queries, written: int) -> np.ndarray:
        return np.asarray(queries.counted & (queries.times > written))
