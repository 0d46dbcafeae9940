"""The index of a benchmark's lists: equal to them, stale with them, quick for a large set."""

import os

import numpy as np
import pytest

from datasets import benchmarks
from datasets.benchmarks import index
from datasets.benchmarks.base import Parsed, Part
from tests.datasets.test_benchmarks import prepared


def same(one, two):
    for half in ('train', 'test'):
        a, b = getattr(one, half), getattr(two, half)
        assert (a is None) == (b is None)
        if a is None:
            continue
        assert a.paths == b.paths
        for key in index.ARRAYS:
            assert np.array_equal(getattr(a, key), getattr(b, key)), key
        assert {c: a.class_names[c] for c in a.class_id if c in a.class_names} == {
            c: b.class_names[c] for c in b.class_id if c in b.class_names}


@pytest.mark.parametrize('name', ['cub200', 'inshop', 'lfw', 'nabirds'])
def test_the_index_equals_the_lists_and_goes_stale_with_them(published, tmp_path, name):
    fake, root = prepared(published, name, tmp_path / 'data'), tmp_path / 'data'
    parsed, indexed = benchmarks.parse(fake, name, root), index.load(root, name)
    same(parsed, indexed)
    assert (parsed.pairs is None) == (indexed.pairs is None)
    os.utime(parsed.lists[0], ns=(1, 1))
    assert index.load(root, name) is None
    same(parsed, benchmarks.parse(fake, name, root))


def test_a_damaged_index_is_not_used(published, tmp_path):
    fake, root = prepared(published, 'sop', tmp_path / 'data'), tmp_path / 'data'
    path = index.folder(root) / 'index-sop.npz'
    path.write_bytes(path.read_bytes()[:500])
    assert index.load(root, 'sop') is None
    assert len(benchmarks.load(root, name='sop', benchmark=fake).train) == 9


@pytest.mark.parametrize('seed', range(5))
def test_a_mutated_index_is_equal_or_not_used(published, tmp_path, seed):
    fake, root = prepared(published, 'inshop', tmp_path / 'data'), tmp_path / 'data'
    path, rng = index.folder(root) / 'index-inshop.npz', np.random.RandomState(seed)
    good = path.read_bytes()
    for _ in range(10):
        damaged = bytearray(good)
        for at in rng.randint(len(good), size=3):
            damaged[at] = rng.randint(256)
        path.write_bytes(damaged)
        found = index.load(root, 'inshop')
        if found is not None:
            same(benchmarks.parse(fake, 'inshop', root), found)


def test_a_set_of_the_size_of_sop_starts_from_its_index(tmp_path):
    n = 120_053
    class_id = np.arange(n) // 5 + 1
    part = Part([f'Stanford_Online_Products/bicycle_final/{c:012d}_{k % 5}.JPG'
                 for k, c in enumerate(class_id)], class_id, {c: f'bicycle_{c}' for c in class_id.tolist()},
                super_label=class_id % 12)
    (tmp_path / 'Ebay_train.txt').write_text('header')
    index.save(tmp_path, 'sop', Parsed(part.take(class_id <= 11318), part.take(class_id > 11318),
                                       lists=[tmp_path / 'Ebay_train.txt']))
    data = benchmarks.load(tmp_path, name='sop')
    assert len(data.train) + len(data.test) == n and data.train.num_classes == 11318
    assert data.test.names[-1] == 'bicycle_24011' and data.test.paths[0].endswith('000000011319_0.JPG')
