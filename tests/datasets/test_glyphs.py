"""The built-in letters: the same pixels everywhere."""

import hashlib
import os

import numpy as np
import pytest

import datasets
from core.errors import UserError
from datasets import glyphs

SMALL = {'classes': 6, 'instances': 16}


@pytest.fixture(scope='module')
def letters():
    return glyphs.choose(400)


@pytest.mark.parametrize('level, digest', [('easy', '43b6228c0862438c'), ('hard', '74ed41da5a7a0f3d')])
def test_the_same_pixels_everywhere(letters, level, digest):
    images = glyphs.draw_all(letters[:3], 16, level, 0)
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == digest
    again = glyphs.draw_all(letters[2:3], 3, level, 0)               # whatever else is drawn
    np.testing.assert_array_equal(again, images[32:35])
    assert (glyphs.draw_all(letters[:1], 1, level, 1)[0] != images[0]).any()


def test_the_chosen_letters_are_pinned_and_differ_in_shape(letters):
    assert len(set(letters.tolist())) == 400
    assert hashlib.sha256(','.join(map(str, letters.tolist())).encode()).hexdigest()[:16] == '49d672a409e31e12'
    for group in ('AΑА', 'oοоOΟО', 'HΗН', 'xXхХ', 'cCсС', 'ij'):    # Latin, Greek, Cyrillic
        assert sum(ord(letter) in letters for letter in group) <= 1
    with pytest.raises(UserError, match='--glyphs_classes=900'):
        glyphs.choose(1800)


def test_filling_against_the_definition():
    square = [np.array([[0, 0], [0, 100], [100, 100], [100, 0]])]
    hole = [np.array([[25, 25], [75, 25], [75, 75], [25, 75]])]
    side = 10
    solid = glyphs.fill(glyphs.place(square, 5, side=side), side)
    assert solid.sum() == 20 * 20 and solid[10:30, 10:30].all()
    ring = glyphs.fill(glyphs.place(square + hole, 5, side=side), side)
    assert ring.sum() == 20 * 20 - 10 * 10
    turned = glyphs.fill(glyphs.place(square, 5, angle=30, side=side), side)
    assert abs(int(turned.sum()) - 400) <= 8 and turned[16, 8] and not turned[23, 8]    # counter-clockwise
    assert glyphs.thicken(solid, 1).sum() == 400 + 4 * 20 and glyphs.thicken(solid, -1).sum() == 18 * 18


def test_glyphs_loads_disjoint_letters_and_keeps_them_in_one_file(tmp_path):
    data = datasets.load('glyphs', tmp_path, **SMALL)
    assert (len(data.train), len(data.test), data.train.num_classes, data.test.num_classes) == (96, 96, 6, 6)
    assert not set(data.train.names) & set(data.test.names) and data.protocol == 'zero-shot'
    assert data.train.read(0).shape == (48, 48, 3) and data.train.names[data.train.labels[0]] in data.train.path(0)
    assert os.listdir(tmp_path) == ['easy_12x16_seed0.npz']
    again = datasets.load('glyphs', tmp_path, **SMALL)
    for k in (0, 50, 95):
        np.testing.assert_array_equal(again.test.read(k), data.test.read(k))
    cache = next(tmp_path.iterdir())
    for damaged in (b'', cache.read_bytes()[:1000]):
        cache.write_bytes(damaged)
        np.testing.assert_array_equal(datasets.load('glyphs', tmp_path, **SMALL).test.read(7), data.test.read(7))


def test_letters_that_cannot_be_kept_say_where(tmp_path):
    blocked = tmp_path / 'file'
    blocked.write_text('x')
    with pytest.raises(UserError, match='--data_dir=DIR'):
        datasets.load('glyphs', blocked / 'below', **SMALL)


def test_validation_classes_come_off_the_training_classes(tmp_path):
    data = datasets.load('glyphs', tmp_path, val_classes=2, **SMALL)
    whole = datasets.load('glyphs', tmp_path, **SMALL)
    assert data.train.num_classes == 4 and data.val.num_classes == 2
    assert data.train.names + data.val.names == whole.train.names
    assert data.val.labels.min() == 0 and data.val.labels.max() == 1
    np.testing.assert_array_equal(data.val.read(0), whole.train.read(int(np.argmax(whole.train.labels >= 4))))
    assert datasets.load('glyphs', tmp_path, val_classes=0.5, **SMALL).val.num_classes == 3
    for wrong in (6, 0.01, 2.5):
        with pytest.raises(UserError, match='--val_classes'):
            datasets.load('glyphs', tmp_path, val_classes=wrong, **SMALL)
    with pytest.raises(UserError, match='--crop_box'):
        datasets.load('glyphs', tmp_path, crop_box=True, **SMALL)


def test_folds_cut_the_training_classes_and_leave_the_test_images_alone(tmp_path):
    whole, seen = datasets.load('glyphs', tmp_path, **SMALL), []
    for number in (1, 2, 3):
        data = datasets.load('glyphs', tmp_path, fold=(number, 3), **SMALL)
        assert data.train.num_classes == 4 and data.test.num_classes == 2 and data.val is None
        assert sorted(data.train.names + data.test.names) == sorted(whole.train.names)
        seen += data.test.names
    assert seen == whole.train.names and not set(seen) & set(whole.test.names)
    with pytest.raises(UserError, match='at most 3 folds'):
        datasets.load('glyphs', tmp_path, fold=(1, 4), **SMALL)
