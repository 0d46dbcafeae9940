"""Groups of near-identical pictures against all pairs by hand, and the panels."""

import itertools

import numpy as np
import pytest
from PIL import Image

from serving import duplicates, search
from serving.local import LocalIndex
from serving.store import File


def index_of(folder, vectors, labels=None):
    index = LocalIndex(folder, write=True, about={'dim': vectors.shape[1], 'model': 'm', 'root': '/p'})
    labels = labels or ['a'] * len(vectors)
    index.add([File(f'{label}/{k:03}', label, 1, 1) for k, label in enumerate(labels)], vectors)
    return index


def by_hand(vectors, limit):
    """Sets of rows that hang together, by merging all pairs."""
    sets = [{k} for k in range(len(vectors))]
    for a, b in itertools.combinations(range(len(vectors)), 2):
        if np.linalg.norm(vectors[a].astype(np.float64) - vectors[b]) <= limit:
            joined = [group for group in sets if group & {a, b}]
            sets = [group for group in sets if not group & {a, b}] + [set().union(*joined)]
    return sorted(sorted(group) for group in sets if len(group) > 1)


@pytest.mark.parametrize('limit', [0.05, 0.3, 0.6])
def test_groups_are_those_of_all_pairs(tmp_path, limit):
    rng = np.random.RandomState(0)
    vectors = (rng.rand(20, 6)[np.arange(60) // 3] + 0.1 * rng.rand(60, 6)).astype(np.float32)
    index = index_of(tmp_path / 'i', vectors)
    found = duplicates.groups(index, limit, chunk=16)
    assert sorted([int(hit.path[2:]) for hit in group.hits] for group in found) == by_hand(vectors, limit)
    assert [group.widest for group in found] == sorted(group.widest for group in found)
    for group in found:
        rows = [int(hit.path[2:]) for hit in group.hits]
        far = np.linalg.norm(vectors[rows][:, None] - vectors[rows], axis=2) + 9 * np.eye(len(rows))
        assert np.allclose([hit.distance for hit in group.hits], far.min(axis=1), atol=1e-4)
        assert group.widest == pytest.approx(far.min(axis=1).max(), abs=1e-4)
    index.close()


def test_a_picture_that_is_there_a_hundred_times_is_one_group(tmp_path):
    vectors = np.vstack([np.ones((100, 4)), 5 * np.eye(4)]).astype(np.float32)
    index = index_of(tmp_path / 'i', vectors)
    found = duplicates.groups(index, 0.1, chunk=30)
    assert len(found) == 1 and len(found[0].hits) == 100 and found[0].widest == 0
    index.close()


def test_only_pictures_of_the_label_and_only_so_many_groups(tmp_path):
    vectors = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    index = index_of(tmp_path / 'i', vectors, ['a', 'a', 'b'] * 4)
    assert [len(group.hits) for group in duplicates.groups(index, 0.1)] == [3, 3, 3, 3]
    assert [len(group.hits) for group in duplicates.groups(index, 0.1, labels=['a'])] == [2, 2, 2, 2]
    assert duplicates.groups(index, 0.1, labels=['b']) == []
    assert len(duplicates.groups(index, 0.1, most=2)) == 2
    index.close()


def test_a_panel_has_every_picture_in_its_place(tmp_path):
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)]
    cells = [(np.full((20, 20, 3), colour, np.uint8), 'name', '0.1') for colour in colours]
    png, pdf = search.panel([cells, cells[:1]], tmp_path / 'x.png', columns=3)
    image = np.asarray(Image.open(png))
    assert pdf.stat().st_size > 500
    step = search.CELL + 2 * search.BORDER + search.GAP
    tall = search.CELL + 2 * search.BORDER + 2 * search.FOOT
    middle = search.GAP + search.BORDER + search.CELL // 2
    for colour, (line, column, gap) in zip(colours + colours[:1],
                                           ((0, 0, 0), (0, 1, 0), (0, 2, 0), (1, 0, 0), (2, 0, search.QUERY_GAP))):
        assert tuple(image[middle + line * tall + gap, middle + column * step]) == colour
