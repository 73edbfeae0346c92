"""AMP-CF, whose attention over the same personas is in the score, against the linear model with seats."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.personas.subject import Figures, N, Subject
from recsys.evaluation.metrics import ranking_metrics
from recsys.evaluation.significance import compare
from recsys.slates import Greedy
from recsys.types import Items


def read_outs(linear: Subject, ampcf: Subject, seed: int) -> dict[str, Figures]:
    """Return NDCG of plain scores, seats, attention, and attention with seats, each against plain scores.

    Args:
        linear: the linear model with seats.
        ampcf: the same with attention; asked the same questions.
        seed: of the intervals.
    """
    plain = linear.model.recommend(linear.queries, N).items
    lists = {
        "seats": linear.lists.items,
        "attention": ampcf.served.recommend(ampcf.queries, N, slate=Greedy()).items,
        "attention, seats": ampcf.served.recommend(ampcf.queries, N).items,
    }
    base = _table(plain, linear)
    figures = {}
    for name, items in lists.items():
        row = compare(base, _table(items, linear), ["ndcg"], seed=seed).iloc[0]
        figures[name] = {
            "ndcg": float(row["mean_b"]),
            "relative": float(row["relative"]),
            "low": float(row["low"] / row["mean_a"]),
            "high": float(row["high"] / row["mean_a"]),
        }
    row = compare(_table(lists["seats"], linear), _table(lists["attention, seats"], linear), ["ndcg"], seed=seed).iloc[
        0
    ]
    figures["attention, seats"] |= {"against seats": float(row["relative"]), "p": float(row["p"])}
    figures["attention"]["sharpness"] = ampcf.served.chosen_sharpness
    return figures


def _table(items: Items, subject: Subject) -> pd.DataFrame:
    values = ranking_metrics(items, subject.questions.relevant, [N], ["ndcg"])[f"ndcg@{N}"]
    return pd.DataFrame({"user_id": np.arange(len(values)), "ndcg": values})
