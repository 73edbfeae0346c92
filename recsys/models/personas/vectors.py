"""Item vectors that say what an item is about, and next to nothing about how popular it is."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import eigsh

from recsys.data.clusters import unit_rows
from recsys.data.interactions import Interactions
from recsys.data.items import NO_GENRE, ItemMetadata
from recsys.models.base import FittedOn
from recsys.models.linear.operations import CoUse
from recsys.types import Doubles, Mask

_FEWEST_USERS = 2
"""Pairs of items that a single user joins are left out: there are many, and each says next to nothing."""


def item_vectors(train: Interactions, dim: int = 16, shrinkage: float = 100.0, metadata_weight: float = 0.5) -> Doubles:
    """Return "items dim'", unit rows; a row of zeros for an item of which nothing is known.

        PMI_ij = c_ij / (c_ij + shrinkage) ln( c_ij U / (n_i n_j) ),   P = max(PMI, 0) = Q S Q'
        v_i    = cleaned( Q_i S^(1/2) ),   z_i = cleaned( labels_i ln(1 / p)^(1/2) )
        x_i    = unit( (1 - g)^(1/2) v_i,  g^(1/2) z_i )

    `cleaned` takes the mean over events and what is linear in an item's log popularity out of each column, and scales
    rows to length 1. c_ij is the number of users of both items, n_i of one, U of all; p the share of the events with a
    label. Pointwise mutual information divides the popularity of both items out; its factorisation is that of Levy and
    Goldberg, *Neural word embedding as implicit matrix factorization*, NIPS 2014. The shrinkage keeps rare pairs from
    looking certain. The labels (genres; tags where there are no genres) are ours, as is their weight g.

    Args:
        train: the training log.
        dim: factors of the co-use.
        shrinkage: users by which a pair's mutual information is shrunk.
        metadata_weight: g, how much the labels count beside co-use; without labels co-use counts alone.
    """
    return joined(*item_blocks(FittedOn.of(train), CoUse.of(train.matrix()), dim, shrinkage), metadata_weight)


def item_blocks(train: FittedOn, co_use: CoUse, dim: int = 16, shrinkage: float = 100.0) -> tuple[Doubles, Doubles]:
    """Return v and z of `item_vectors`: "items dim" of the co-use, and "items labels"; unit rows, or rows of zeros."""
    counts = train.item_counts.astype(np.float64)
    use = _cleaned(_factors(co_use, dim, shrinkage), counts)
    return use, _cleaned(_label_vectors(train.metadata, counts, dim), counts)


def joined(use: Doubles, labels: Doubles, metadata_weight: float) -> Doubles:
    """Return the vectors of two blocks of `item_blocks`, in which the labels have a weight."""
    if metadata_weight == 0:
        return use
    return unit_rows(np.hstack([(1 - metadata_weight) ** 0.5 * use, metadata_weight**0.5 * labels]))


def _cleaned(vectors: Doubles, counts: Doubles) -> Doubles:
    """Return unit rows without the mean over events, and what is linear in the logarithm of an item's events.

    A row of zeros stays one.
    """
    known: Mask = np.asarray(vectors.any(1))
    weight = counts * known
    features = np.column_stack([np.ones(len(counts)), np.log(np.maximum(counts, 1.0))])
    moments = features.T @ (weight[:, None] * features) + 1e-9 * np.eye(2)
    explained = features @ np.linalg.solve(moments, features.T @ (weight[:, None] * vectors))
    return unit_rows((vectors - explained) * known[:, None])


def _factors(co_use: CoUse, dim: int, shrinkage: float) -> Doubles:
    """Return Q S^(1/2), "items dim"; fewer columns on a log of few items."""
    used, n_items = co_use.used, len(co_use.used)
    blocks = []
    for first, block in co_use.blocks:
        pairs = block.tocoo()
        row, both = pairs.row + first, pairs.data.astype(np.float64)
        keep = (row != pairs.col) & (both >= _FEWEST_USERS)
        row, column, both = row[keep], pairs.col[keep], both[keep]
        information = np.log(both * co_use.users / (used[row] * used[column])) * both / (both + shrinkage)
        keep = information > 0
        entries = information[keep], (row[keep] - first, column[keep])
        blocks.append(sp.csr_matrix(entries, shape=block.shape))
    positive = sp.vstack(blocks).tocsr()
    rank = min(dim, n_items - 2)
    if rank < 1 or positive.nnz == 0:
        return np.zeros((n_items, 1))
    strength, vectors = eigsh(positive, k=rank, v0=np.ones(n_items))
    return np.asarray(vectors * np.sqrt(np.maximum(strength, 0.0)))


def _label_vectors(metadata: ItemMetadata, counts: Doubles, dim: int) -> Doubles:
    """Return "items labels", or "items dim" where there are more labels: each counts by how unusual it is."""
    rows = metadata.genres if metadata.has_genres else metadata.tags
    labels = sorted({label for row in rows for label in row} - NO_GENRE)
    if not labels:
        return np.zeros((len(metadata), 1))
    column = {label: number for number, label in enumerate(labels)}
    pairs = [(item, column[label]) for item, row in enumerate(rows) for label in row if label in column]
    items, columns = np.asarray(pairs).T
    has = sp.csr_matrix((np.ones(len(pairs)), (items, columns)), shape=(len(metadata), len(labels)))
    share = (has.T @ counts) / max(counts.sum(), 1.0)
    weighted = has @ sp.diags(np.sqrt(np.log(1.0 / np.clip(share, 1.0 / max(counts.sum(), 2.0), 1.0))))
    if len(labels) <= 2 * dim:
        return np.asarray(weighted.toarray())
    strength, vectors = eigsh((weighted @ weighted.T).tocsr(), k=dim, v0=np.ones(len(metadata)))
    return np.asarray(vectors * np.sqrt(np.maximum(strength, 0.0)))
