"""What is measured of a task: every memory, its placebos, texts, and what edits of texts do."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.memory.tasks import Task
from recsys.data.queries import Queries
from recsys.evaluation.memory import MemoryAccuracy, mask_bytes, memory_accuracy, ndcg_of_scores
from recsys.models.memories import (
    Dual,
    EpisodicRecent,
    EpisodicSimilar,
    Exemplars,
    Memory,
    Parametric,
    SemanticSummary,
)
from recsys.models.memories.exemplars import pursued
from recsys.models.memories.text.grammar import parse, render
from recsys.models.memories.text.reading import TextReader
from recsys.models.memories.text.state import TasteText
from recsys.models.memories.text.writing import TextSummary

WHOLE, POPULARITY, TEXT = "whole history", "popularity", "text of 8 titles and genres"
TITLES, SHUFFLED, RANDOM = (
    "text, its titles alone",
    "Parametric(32), item vectors shuffled",
    "Exemplars(8), titles of another user",
)
ONLINE = "Exemplars(8), carried event by event"
RECENT = "EpisodicRecent(34 bytes)"
_EDITED, _GENRES, _COMMON = 40, 6, 0.05

Result = dict[str, Any]


def memories(width: int) -> dict[str, Memory]:
    """Return the memories by name; `width` is the bytes of an event with its weight."""
    named: dict[str, Memory] = {}
    for k in (4, 8):
        named[f"EpisodicRecent({k})"] = EpisodicRecent(k)
    named[RECENT] = EpisodicRecent(34 // width)
    named["EpisodicSimilar(4)"] = EpisodicSimilar(4)
    for m in (8, 16, 22, 32, 64):
        named[f"Parametric({m})"] = Parametric(m)
    for m in (8, 22, 32, 128):
        named[f"SemanticSummary({m})"] = SemanticSummary(m)
    for k in (4, 8, 16):
        named[f"Exemplars({k})"] = Exemplars(k)
    return named


def measured(task: Task) -> Result:
    """Return NDCG@10 of each user, and bytes, by name of the memory."""
    model, (queries, relevant) = task.model, task.test
    read = model.read(queries)
    reading = read.model
    result: Result = {"half_life": None if np.isinf(task.half_life) else task.half_life, "rows": {}}
    rows: dict[str, Result] = result["rows"]
    masks = mask_bytes(queries, model.n_items)

    def scored(name: str, scores: torch.Tensor, sizes: np.ndarray) -> None:
        values = ndcg_of_scores(scores, model, queries, relevant)
        rows[name] = _row(MemoryAccuracy(values, sizes, masks))

    none = np.zeros(len(queries), np.int64)
    counts = torch.from_numpy(model.fitted_on.item_counts.astype(np.float32))
    scored(POPULARITY, counts.expand(len(queries), -1), none)
    width = 2 if read.queries.weights is None else 3
    scored(WHOLE, model.score(queries), read.queries.history.lengths * width)
    learned: dict[str, Memory] = {}
    for name, memory in memories(width).items():
        learned[name] = memory.learned(reading, task.train)
        rows[name] = _row(memory_accuracy(learned[name], model, queries, relevant))

    def judge(memory: Memory) -> float:
        return float(np.nanmean(memory_accuracy(memory, model, *task.valid).ndcg))

    dual = Dual(34).learned(reading, task.train, judge)
    rows["Dual(34)"] = _row(memory_accuracy(dual, model, queries, relevant))
    result["dual"] = list(dual.chosen) if isinstance(dual, Dual) else []
    rows[SHUFFLED] = _row(memory_accuracy(_shuffled(learned["Parametric(32)"]), model, queries, relevant))
    stored = Exemplars(8).encode(reading, read.queries)
    other = Exemplars(8).scores(reading, stored)[np.random.default_rng(0).permutation(len(queries))]
    scored(RANDOM, other, stored.sizes)
    result["text"] = _texts(task, read.queries, scored)
    return result


def _row(found: MemoryAccuracy) -> Result:
    return {
        "ndcg": np.round(found.ndcg, 6).tolist(),
        "bytes": float(found.sizes.mean()),
        "with_mask": float((found.sizes + found.masks).mean()),
    }


def _shuffled(memory: Memory) -> Memory:
    """Return a low-rank memory whose states are read by the vectors of other items."""
    arrays = memory.arrays()
    order = np.random.default_rng(0).permutation(len(arrays["directions"]))
    return memory.restored({**arrays, "directions": arrays["directions"][order]})


def _texts(task: Task, read: Queries, scored: Any) -> Result:  # noqa: ANN401 - a local function
    """Measure texts, with the ten first of them."""
    reader = TextReader(task.model)
    queries = task.test[0]
    texts = TextSummary().write(task.model, queries, reader)
    written = [render(text, reader.tables) for text in texts]
    sizes = np.asarray([len(text.encode()) for text in written])
    scored(TITLES, torch.from_numpy(reader.title_scores(texts)), sizes)
    read_again = [parse(text, reader.tables) for text in written]
    scores = reader.title_scores(read_again)
    for row in range(len(scores)):
        scores[row] = reader.wished(scores[row], read_again[row], _seen(reader, queries, row))
    scored(TEXT, torch.from_numpy(scores), sizes)
    lengths = np.asarray([len(text) for text in written])
    return {
        "longest": int(lengths.max()),
        "mean": float(lengths.mean()),
        "same": float(np.mean([one == other for one, other in zip(texts, read_again, strict=True)])),
        "first": written[:10],
    }


def _seen(reader: TextReader, queries: Queries, row: int) -> np.ndarray:
    seen = np.zeros(reader.model.n_items, np.bool_)
    items = queries.excluded.row(row)
    seen[items[items >= 0]] = True
    return seen


def _listed(reader: TextReader, text: TasteText, seen: np.ndarray) -> np.ndarray:
    scores = reader.scores(text, seen).astype(np.float64)
    scores[seen] = -np.inf
    return np.lexsort((reader.model.fitted_on.tie_rank.numpy(), -scores))[:10]


def edits(task: Task) -> Result:
    """Add "avoids G" and "mostly G" to texts, for the common genres, and take them back."""
    reader = TextReader(task.model)
    tables, queries = reader.tables, task.test[0].take(np.arange(min(_EDITED, len(task.test[0]))))
    texts = TextSummary().write(task.model, queries, reader)
    shares = dict(
        zip(reader.model.fitted_on.metadata.genre_matrix[0], reader.model.fitted_on.genre_shares, strict=True)
    )
    common = sorted((label for label in tables.labels if shares.get(label, 0) >= _COMMON), key=lambda g: -shares[g])
    figures: Result = {}
    undone, kept, of_others = [], [], []
    for genre in common[:_GENRES]:
        has = tables.has((genre,))
        before, avoided, mostly = [], [], []
        for row in range(len(texts)):
            seen = _seen(reader, queries, row)
            plain = TasteText(tuple(clause for clause in texts[row].clauses if clause.titles))
            text = render(plain, tables)
            listed = _listed(reader, plain, seen)
            less = _listed(reader, parse(f"{text} Avoids {tables.label_in_words(genre)}.", tables), seen)
            more = _listed(reader, parse(f"{text} Mostly {tables.label_in_words(genre)}.", tables), seen)
            before.append(has[listed].mean())
            avoided.append(has[less].mean())
            mostly.append(has[more].mean())
            kept.append(np.isin(listed[~has[listed]], less).sum())
            of_others.append((~has[listed]).sum())
            undone.append(np.array_equal(_listed(reader, parse(text, tables), seen), listed))
        figures[genre] = [float(np.mean(each)) for each in (before, avoided, mostly)]
    return {
        "genres": figures,
        "kept": float(np.sum(kept) / max(1, np.sum(of_others))),
        "undone": float(np.mean(undone or [True])),
    }


def carried(task: Task, users: int = 60) -> Result:
    """Carry exemplars event by event, 16 kept of 17, and compare with those from scratch."""
    model, (queries, relevant) = task.model, task.test
    reading = model.read(queries.take(np.arange(1))).model
    rows = list(range(min(users, len(queries))))
    queries, relevant = queries.take(np.asarray(rows)), relevant.take(np.asarray(rows))
    factor = float(2.0 ** (-1.0 / task.half_life))
    batch = ndcg_of_scores(
        Exemplars(8).scores(reading, Exemplars(8).encode(reading, model.read(queries).queries)),
        model,
        queries,
        relevant,
    )
    items: list[np.ndarray] = [np.zeros(0, np.int32) for _ in rows]
    weights: list[np.ndarray] = [np.zeros(0, np.float32) for _ in rows]
    longest = int(queries.history.lengths.max())
    for step in range(longest):
        going = [row for row in rows if step < queries.history.lengths[row]]
        for row in going:
            new = queries.history.row(row)[step]
            items[row] = np.append(items[row], new).astype(np.int32)
            weights[row] = np.append(weights[row] * factor, 1.0).astype(np.float32)
        over = [row for row in going if len(items[row]) > 16]
        if over:
            top = np.asarray([weights[row].max() for row in over], np.float32)
            kept = Queries.from_history([items[row] for row in over]).with_weights(
                np.concatenate([weights[row] / most for row, most in zip(over, top, strict=True)])
            )
            positions, each = pursued(reading, kept, 16, 1.0)
            of = kept.history.rows[positions]
            for place, row in enumerate(over):
                mine = of == place
                items[row] = kept.history.items[positions[mine]]
                weights[row] = each[mine] * top[place]
    final = Queries.from_history(items).with_weights(
        np.concatenate([each / max(float(each.max()), 1e-9) for each in weights]).astype(np.float32)
    )
    online = ndcg_of_scores(Exemplars(8).scores(reading, Exemplars(8).encode(reading, final)), model, queries, relevant)
    return {"batch": float(np.nanmean(batch)), "online": float(np.nanmean(online))}
