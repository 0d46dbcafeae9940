"""The uint8 store: the pictures of the JPEG path, one copy for all splits, a build that goes on."""

import os
import threading

import numpy as np
import pytest

import datasets
from core.errors import UserError
from datasets import store
from datasets.loader import Loader, sequential
from datasets.records import Data, Split
from datasets.transforms import get_transform
from tests.datasets import fake_data


def attach(data, folder, transform='embedding_expansion', log=lambda text: None, threads=2, **options):
    store.attach(data, transform, 224, folder=folder, threads=threads, log=log, **options)
    return data


def photos(folder, count=12):
    """Data of `count` photos of several sizes, half of them in train."""
    for k in range(count):
        height, width = ((300, 400), (420, 310), (200, 260))[k % 3]
        (folder / f'{k}.jpg').write_bytes(fake_data.photo(k, height, width))

    def part(first):
        rows = np.arange(first, first + count // 2)
        return Split(rows // 3, [f'{k}.jpg' for k in rows], root=str(folder),
                     boxes=[(10, 20, 150, 160 + k) for k in rows])
    return Data('photos', part(0), part(count // 2), 'zero-shot')


def pictures(split, name):
    plans = [plan._replace(seed=np.arange(len(plan.index), dtype=np.uint32)) for plan in sequential(len(split), 4)]
    return np.concatenate([batch.image for batch in Loader(split, get_transform(name, True, 224), 0)(plans)])


@pytest.mark.parametrize('crop_box', [False, True])
@pytest.mark.parametrize('name', sorted(store.FIRST_STEP))
def test_a_store_made_for_a_transform_gives_its_very_pictures(tmp_path, name, crop_box):
    plain, stored = photos(tmp_path), photos(tmp_path)
    if crop_box:
        datasets.cut_to_boxes(plain)
        datasets.cut_to_boxes(stored)
    attach(stored, tmp_path / 'stores', name)
    for half in ('train', 'test'):
        np.testing.assert_array_equal(pictures(getattr(plain, half), name), pictures(getattr(stored, half), name))


def test_embedding_expansion_stays_close_in_training_and_is_exact_in_testing(tmp_path):
    plain, stored = photos(tmp_path), photos(tmp_path)
    attach(stored, tmp_path / 'stores')
    a, b = pictures(plain.train, 'embedding_expansion'), pictures(stored.train, 'embedding_expansion')
    difference = np.abs(a.astype(int) - b)
    assert 0 < difference.mean() < 2
    view = get_transform('embedding_expansion', False, 224)
    for k in range(6):
        np.testing.assert_array_equal(view(plain.test.read(k), None), view(stored.test.read(k), None))


@pytest.mark.parametrize('transform, size, asked, form', [
    ('embedding_expansion', 224, (), ('square', 'linear', 252)), ('embedding_expansion', 299, (),
                                                                  ('square', 'linear', 336)),
    ('margin', 227, (), ('square', 'linear', 259)), ('heated-up', 224, (), ('square', 'lanczos', 256)),
    ('npair', 227, (), ('short', 'antialias', 256)), ('ranking_img', 224, (), ('short', 'area', 512)),
    ('embedding_expansion', 224, ('short', 64), ('short', 'area', 64))])
def test_the_form_follows_the_transform(transform, size, asked, form):
    assert store.form_of(transform, size, True, *asked) == form


def test_short_side_form_keeps_the_aspect_and_never_enlarges(tmp_path):
    data = photos(tmp_path)
    attach(data, tmp_path / 'stores', shape='short', size=256)
    assert [data.train.read(k).shape[:2] for k in range(3)] == [(256, 341), (346, 256), (200, 260)]
    with pytest.raises(ValueError, match='read-only'):
        data.train.read(0)[0] = 0


def test_one_store_serves_every_split_of_the_same_images(tmp_path):
    said, where = [], (tmp_path / 'stores', 'margin')
    first = attach(photos(tmp_path), *where, said.append)
    other = photos(tmp_path)
    train, val = datasets.hold_out(other.train, 1)
    swapped = attach(Data('photos', other.test, train, 'zero-shot', val), *where, said.append)
    assert len(said) == 1 and len(os.listdir(tmp_path / 'stores')) == 1
    np.testing.assert_array_equal(swapped.train.read(4), first.test.read(4))
    np.testing.assert_array_equal(swapped.val.read(2), first.train.read(5))
    kept = first.test.subset([5, 1])
    np.testing.assert_array_equal(kept.read(0), first.test.read(5))


def test_an_interrupted_build_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(store, 'BLOCK', 3)
    real, count = store.read_image, []

    def stop_at_eight(path):
        count.append(path)
        if len(count) > 7:
            raise KeyboardInterrupt
        return real(path)
    where = (tmp_path / 'stores', 'margin')
    with monkeypatch.context() as patch:
        patch.setattr(store, 'read_image', stop_at_eight)
        with pytest.raises(KeyboardInterrupt):
            attach(photos(tmp_path), *where, threads=1)
    part, = (tmp_path / 'stores').glob('*.part')
    with open(part / 'pixels.u8', 'ab') as pixels:
        pixels.write(b'half an image')
    said, again = [], []
    monkeypatch.setattr(store, 'read_image', lambda path: again.append(path) or real(path))
    data = attach(photos(tmp_path), *where, said.append)
    assert 'going on after 6' in said[0] and len(again) == 6
    plain = photos(tmp_path)
    form = store.form_of('margin', 224, False)
    for k in range(6):
        np.testing.assert_array_equal(data.test.read(k), store.shrink(plain.test.read(k), form))


def test_two_processes_build_it_once(tmp_path):
    said, where = [], (tmp_path / 'stores', 'margin')
    threads = [threading.Thread(target=attach, args=(data, *where, said.append))
               for data in (photos(tmp_path), photos(tmp_path))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 1


def test_a_bad_image_stops_the_build_and_is_named(tmp_path):
    data = photos(tmp_path)
    (tmp_path / '7.jpg').write_bytes(b'not a picture')
    with pytest.raises(UserError, match='7.jpg'):
        attach(data, tmp_path / 'stores')
    photos(tmp_path)
    attach(photos(tmp_path), tmp_path / 'stores')


def test_a_damaged_store_is_named(tmp_path):
    attach(photos(tmp_path), tmp_path / 'stores', 'margin')
    folder, = (tmp_path / 'stores').iterdir()
    os.truncate(folder / 'pixels.u8', 1000)
    with pytest.raises(UserError, match='is damaged. Fix: remove this folder'):
        attach(photos(tmp_path), tmp_path / 'stores', 'margin')
