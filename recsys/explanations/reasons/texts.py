"""Texts about users with the names of their personas, and the reasons of lists that a text makes."""

from __future__ import annotations

from collections.abc import Sequence

from recsys.data.queries import Queries
from recsys.data.titles import readable_title, year_of
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations.found import names_of_found
from recsys.explanations.records import Evidence, Explanation, ItemId
from recsys.models.base import Recommender
from recsys.models.memories.text.reading import TextReader
from recsys.models.memories.text.state import TasteText, Word
from recsys.models.memories.text.writing import Phrases, TextSummary, labels_of
from recsys.models.personas.model import WithPersonas
from recsys.types import Floats, Items

_EVIDENCE = 3


def written_texts(model: Recommender, queries: Queries, reader: TextReader, titles: int = 8) -> list[TasteText]:
    """Return what there is to say of each user, in the words of the user's personas where these have true names."""
    return TextSummary(titles).write(model, queries, reader, _phrases(model, queries, reader))


def _phrases(model: Recommender, queries: Queries, reader: TextReader) -> list[Phrases | None] | None:
    if not isinstance(model, WithPersonas):
        return None
    found = model.found(queries)
    of_event = found.personas.of_events(model.dictionary, queries)
    phrases: list[Phrases | None] = []
    for row, names in enumerate(names_of_found(model, queries, found)):
        span = slice(*queries.history.indptr[row : row + 2])
        labels = [
            labels_of(name.labels, reader.tables.labels) if name is not None and name.kind == "labels" else ()
            for name in names
        ]
        phrases.append(Phrases(of_event[span], tuple(labels)) if any(labels) else None)
    return phrases


def explain_text(
    reader: TextReader, text: TasteText, items: Items, scores: Floats, ids: Sequence[ItemId]
) -> list[Explanation]:
    """Return the items of a list that a text made, with the titles of the text that speak for each.

    Args:
        reader: of the text.
        text: the text.
        items: "n", item numbers, best first; `UNKNOWN` at the end.
        scores: "n", their scores.
        ids: "items", the id of each item.
    """
    fitted = reader.model.fitted_on
    words: dict[int, Word] = {item: clause.word for clause in text.clauses for item in clause.titles}
    explained = []
    for item, score in zip(items.tolist(), scores.tolist(), strict=True):
        if item == UNKNOWN:
            continue
        added = reader.added(text, item)
        total = sum(value for value in added.values() if value > 0)
        best = sorted((one for one in added if added[one] > 0), key=lambda one: -added[one])[:_EVIDENCE]
        wish = next(
            (each for each in text.wishes if each.word != "avoids" and reader.tables.has(each.labels)[item]), None
        )
        if best:
            titles = {one: readable_title(fitted.metadata.titles[one]) for one in best[:2]}
            same = len({words[one] for one in titles}) == 1
            said = f"{words[best[0]]} like {' and '.join(titles.values())}"
            if not same:
                said = " and ".join(f"{words[one]} like {title}" for one, title in titles.items())
            reason = f"Because your text says {said}."
        elif wish is not None:
            label = reader.tables.label_in_words(wish.labels[0])
            reason = f"Because your text says {wish.word} {label}."
        else:
            reason = "Popular: your text says nothing that speaks for it."
        explained.append(
            Explanation(
                ids[item],
                fitted.metadata.titles[item],
                float(score),
                (),
                tuple(Evidence(ids[one], fitted.metadata.titles[one], added[one], added[one] / total) for one in best),
                "contribution" if best else "none",
                None,
                reason,
                reason_kind="text" if best or wish is not None else "popular",
                year=year_of(fitted.metadata.titles[item]),
                genres=fitted.metadata.genres[item],
            )
        )
    return explained
