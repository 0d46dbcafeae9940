"""The loader: plans in, the same pictures out with any number of threads."""

import pathlib

import cv2
import numpy as np
import pytest

from core.contracts import Plan
from datasets.loader import Loader, sequential
from datasets.pictures import BadImage
from datasets.records import Split
from datasets.transforms import flip_one_off, get_transform
from tests.datasets.test_pictures import PHOTO, write

RNG = np.random.RandomState


@pytest.fixture
def split(tmp_path):
    """Six photos of two classes."""
    paths = [write(str(tmp_path / f'{k}.png'), np.roll(PHOTO, 5 * k, axis=1)) for k in range(6)]
    return Split([0, 0, 0, 1, 1, 1], paths)


def plans(count=5, n=4):
    rng = RNG(1)
    return [Plan(rng.randint(6, size=n), rng.randint(2 ** 32, size=n, dtype=np.uint32), lambda k=k: k)
            for k in range(count)]


@pytest.mark.parametrize('name', ['embedding_expansion', 'ranking_batch'])
def test_the_same_pictures_with_any_number_of_threads(split, name):
    batches = [list(Loader(split, get_transform(name, True, 32), workers)(plans(9))) for workers in (0, 1, 2, 5)]
    for found in zip(*batches):
        for batch in found[1:]:
            np.testing.assert_array_equal(batch.image, found[0].image)
        batch = found[0]
        assert batch.image.shape == (4, 32, 32, 3) and batch.image.dtype == np.uint8
        assert batch.label.dtype == np.int32 and batch.index.dtype == np.int64
        np.testing.assert_array_equal(batch.label, split.labels[batch.index])
    assert [b.extra for b in batches[3]] == list(range(9))
    for batch, plan in zip(batches[2], plans(9)):
        np.testing.assert_array_equal(batch.index, plan.index)


def test_a_picture_is_the_transform_of_its_image_with_its_seed(split):
    plan = plans(1)[0]
    transform = get_transform('embedding_expansion', True, 32)
    batch = next(iter(Loader(split, transform, 2)([plan])))
    for k in range(4):
        np.testing.assert_array_equal(batch.image[k], transform(split.read(plan.index[k]), RNG(plan.seed[k])))


def test_one_offset_for_a_batch_of_the_ranking_regulariser(tmp_path):
    big = cv2.resize(PHOTO, (256, 256), interpolation=cv2.INTER_CUBIC)
    split = Split([0], reader=lambda row: big)
    offsets = []
    for seed in range(6):
        plan = Plan(np.zeros(12, int), np.arange(12, dtype=np.uint32) + 100 * seed, None)
        image = next(iter(Loader(split, get_transform('ranking_batch', True, 224), 0)([plan]))).image
        kinds = {picture.tobytes() for picture in image}
        mirrored = {flip_one_off(picture).tobytes() for picture in image}
        assert len(kinds) == 2 and len(kinds & mirrored) == 1
        offsets.append(kinds.difference(mirrored).pop())
    assert len(set(offsets)) > 3


def test_evaluation_visits_every_row_once(split):
    batches = list(Loader(split, get_transform('none', False, 16), 2)(sequential(6, 4)))
    assert [b.index.tolist() for b in batches] == [[0, 1, 2, 3], [4, 5]]


def test_triplets_are_expanded_when_the_batch_is_due(split):
    plan = plans(1)[0]._replace(extra=lambda: 'expanded')
    assert next(iter(Loader(split, get_transform('none', False, 16), 0)([plan]))).extra == 'expanded'


@pytest.mark.parametrize('workers', [0, 3])
def test_a_bad_image_is_named(split, workers):
    for k in (3, 4):
        pathlib.Path(split.paths[k]).write_bytes(b'broken')
    transform = get_transform('embedding_expansion', True, 16)
    plan = Plan(np.array([0, 4, 3, 5]), np.arange(4, dtype=np.uint32), None)
    with pytest.raises(BadImage, match='4.png'):                        # the first in the batch, not the first to fail
        list(Loader(split, transform, workers)([plan]))


def test_a_failing_transform_names_the_image(split):
    def transform(image, rng):
        raise KeyError('oops')

    with pytest.raises(RuntimeError, match='0.png.*oops'):
        list(Loader(split, transform, 2)([Plan(np.array([0]), np.array([1], np.uint32), None)]))


def test_a_consumer_may_stop_early_and_waiting_is_counted(split):
    loader = Loader(split, get_transform('embedding_expansion', True, 16), 2)
    for _ in loader(plans(50)):
        break
    assert loader.wait_seconds > 0
    assert len(list(loader(plans(3)))) == 3
