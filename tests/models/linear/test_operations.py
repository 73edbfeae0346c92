"""Sums of rows in blocks of columns are those of whole rows; a Gram matrix counted by half is the whole one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recsys.models.linear import operations


@pytest.mark.parametrize("columns", [1, 16, 100])
def test_blocks_of_columns_change_no_bit(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    rng = np.random.default_rng(0)
    table = torch.from_numpy(rng.normal(size=(20, columns)).astype(np.float32))
    indptr = np.concatenate([[0], np.cumsum(rng.integers(0, 12, size=50))])
    index = rng.integers(-1, 20, size=indptr[-1])
    weights = np.where(index < 0, 0.0, rng.random(len(index))).astype(np.float32)
    whole = operations.sum_of_rows(table, index, indptr, weights)
    expected = [
        sum((float(weights[one]) * table[index[one]].double() for one in range(start, stop)), torch.zeros(columns))
        for start, stop in pairwise(indptr.tolist())
    ]
    torch.testing.assert_close(whole.double(), torch.stack(expected).double(), rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(operations, "_CACHED", 17 * 20)
    assert len(index) >= operations._REPEATED * len(table)
    assert torch.equal(operations.sum_of_rows(table, index, indptr, weights), whole)


@pytest.mark.parametrize("entries", [1, 25, 10_000])
def test_a_gram_matrix_has_the_bits_of_the_whole_product(entries: int) -> None:
    rng = np.random.default_rng(1)
    dense = rng.normal(size=(60, 11)).astype(np.float32) * (rng.random((60, 11)) < 0.4)
    dense[:, 4] = 0  # an item that nobody uses
    x = sp.csr_matrix(dense)
    gram = operations.gram_matrix(x, entries)
    assert gram.dtype == np.float32
    np.testing.assert_array_equal(gram, (x.T.tocsr() @ x).toarray())
    np.testing.assert_allclose(gram, dense.T.astype(np.float64) @ dense, rtol=1e-4, atol=1e-5)
