"""Lists of people who wrote what they like: the text is what is known of them, and what they did since."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch

from recsys.data.queries import Queries
from recsys.errors import DataError
from recsys.explanations.reasons.texts import explain_text, written_texts
from recsys.models.base import Recommendations, Recommender
from recsys.models.memories.text.grammar import parse, render
from recsys.models.memories.text.reading import TextReader
from recsys.models.memories.text.state import TasteText
from recsys.models.top_n import top_n
from recsys.serving.items.catalogue import Catalogue
from recsys.serving.norms.ruled import Ruled
from recsys.serving.norms.rules import ListRules
from recsys.serving.records import Shelf, Summary
from recsys.serving.users.settings import UserSettings
from recsys.serving.users.state import Listed
from recsys.types import Doubles, Mask

SUMMARY: Final = "summary"
"""Name of what is stored of a user: the text and its date."""


@final
@dataclass(frozen=True)
class WrittenText:
    """A text that lists are made of.

    Attributes:
        text: as it was written.
        said: what it says.
        time: when it was written, Unix seconds: events after that count, too. None: it came with the request.
    """

    text: str
    said: TasteText
    time: int | None

    def since(self, queries: Queries) -> Mask:
        """Return which events of one user count beside the text, "events"."""
        if self.time is None:
            return np.zeros(len(queries.times), np.bool_)
        return np.asarray(queries.counted & (queries.times > self.time))


@final
class SummaryLists:
    """Reads and writes texts by a model, and makes lists of them.

    Args:
        model: a fitted model.
        catalogue: its items.
        settings: what people wrote.
    """

    def __init__(self, model: Recommender, catalogue: Catalogue, settings: UserSettings) -> None:
        self._model = model
        self._catalogue = catalogue
        self._settings = settings
        self._reader: TextReader | None = None

    @property
    def _reading(self) -> TextReader:
        if self._reader is None:
            self._reader = TextReader(self._model)
        return self._reader

    def checked(self, text: str) -> str:
        """Return a text in the words of the grammar; raises as `asked`."""
        return render(self.asked(text).said, self._reading.tables)

    def asked(self, text: str) -> WrittenText:
        """Return a text that came with a request.

        Raises:
            TextError: it cannot be read; see `recsys.models.memories.text.grammar.parse`.
        """
        return WrittenText(text, parse(text, self._reading.tables), None)

    def stored(self, user_id: str, version: int, *, stale: bool = False) -> WrittenText | None:
        """Return what a user wrote, as of a version of settings; `stale`: as it was read last.

        None without a text, and for one that can no longer be read, as by a model of another catalogue: then the person
        is asked to look at it, and the history counts.
        """
        written = self._stored(user_id, version, stale=stale)
        if written is None:
            return None
        try:
            return WrittenText(written[0], self.asked(written[0]).said, written[1])
        except DataError:
            return None

    def _stored(self, user_id: str, version: int, *, stale: bool = False) -> tuple[str, int] | None:
        """Return the text that a user wrote, and when, Unix seconds; None without one."""
        content = self._settings.of(user_id, version, stale=stale).get(SUMMARY)
        if content is None:
            return None
        said = json.loads(content)
        return str(said["text"]), int(said["time"])

    def of(self, user_id: str, queries: Queries, version: int) -> Summary:
        """Return what the user wrote, as of a version of settings, else what the history says."""
        stored = self._stored(user_id, version)
        if stored is not None:
            since = int((queries.counted & (queries.times > stored[1])).sum())
            return Summary(stored[0], "person", stored[1], since)
        (text,) = written_texts(self._model, queries, self._reading)
        return Summary(render(text, self._reading.tables), "history", None, 0)

    def make(self, written: WrittenText, queries: Queries, n: int, rules: ListRules | None) -> Listed:
        """Return the explained list of a text and of what was done since; nothing of the history is listed.

        Args:
            written: the text.
            queries: the user.
            n: length of the list.
            rules: that bind it.
        """
        best, ruled = self._ruled(written, queries, n, rules)
        items = explain_text(self._reading, written.said, best.items[0], best.scores[0], self._catalogue.ids)
        return Listed(tuple(items), (Shelf(None, None, 0.0, len(items)),) if items else (), None, ruled)

    def choose(self, written: WrittenText, queries: Queries, n: int, rules: ListRules) -> Ruled:
        """Return the items that `make` would list under some rules."""
        ruled = self._ruled(written, queries, n, rules)[1]
        assert ruled is not None
        return ruled

    def _ruled(
        self, written: WrittenText, queries: Queries, n: int, rules: ListRules | None
    ) -> tuple[Recommendations, Ruled | None]:
        plain, _ = self._best(written, queries, n)
        if rules is None:
            return plain, None
        if rules.keeps(plain):
            return plain, Ruled.of(plain, plain)
        best, scores = self._best(written, rules.allowed(queries), n)
        if rules.keeps(best):
            return best, Ruled.of(plain, best)
        decision, best = rules.decide(scores, n)
        return best, Ruled.of(plain, best, decision)

    def _best(self, written: WrittenText, queries: Queries, n: int) -> tuple[Recommendations, Doubles]:
        """Return the best items of one user, and the scores of all."""
        reader = self._reading
        excluded = np.zeros(reader.model.n_items, np.bool_)
        seen = queries.excluded.items
        excluded[seen[seen >= 0]] = True
        since = written.since(queries)
        events, count = None, int(since.sum())
        if count:
            with torch.inference_mode():
                events = reader.model.score(self._model.read(queries.keep(since)).queries)[0].float().numpy()
        scores = reader.all_scores(written.said, excluded, events, count)
        items, best = top_n(torch.from_numpy(scores)[None], n, reader.model.fitted_on.tie_rank)
        return Recommendations(items, best), scores.astype(np.float64)
