"""Exact neighbours against a sort of all scores."""

import numpy as np

from evaluation import knn


def test_self_is_removed_by_row_and_duplicates_stay():
    x = np.array([[0, 0], [0, 0], [3, 0], [1, 0]], dtype=np.float32)
    ranks = knn.ranks(x, [0, 1, 1, 0])
    assert ranks.best.tolist() == [1, 2, 2, 0]
    index, score = knn.neighbours(x, 2)
    assert index.tolist() == [[1, 3], [0, 3], [3, 0], [0, 1]]
    assert score[0].tolist() == [0, -1]
