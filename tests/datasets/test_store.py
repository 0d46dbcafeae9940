"""The uint8 store: the pictures of the JPEG path, one copy for all splits, a build that goes on."""

import os
import threading

import numpy as np
import pytest

import datasets
from core.errors import UserError
from datasets import packed, store
from datasets.features import name_of
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
        path = folder / f'{k}.jpg'
        path.write_bytes(fake_data.photo(k, height, width))
        os.utime(path, ns=(10 ** 18, 10 ** 18))
    return photos_as_they_are(folder, count)


def photos_as_they_are(folder, count=12):
    """Data of the photos that `photos` wrote."""
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
    monkeypatch.setattr(packed, 'BLOCK', 3)
    real, count = store.read_listed, []

    def stop_at_eight(path):
        count.append(path)
        if len(count) > 7:
            raise KeyboardInterrupt
        return real(path)
    where = (tmp_path / 'stores', 'margin')
    with monkeypatch.context() as patch:
        patch.setattr(store, 'read_listed', stop_at_eight)
        with pytest.raises(KeyboardInterrupt):
            attach(photos(tmp_path), *where, threads=1)
    part, = (tmp_path / 'stores').glob('*.part')
    with open(part / 'pixels.u8', 'ab') as pixels:
        pixels.write(b'half an image')
    said, again = [], []
    monkeypatch.setattr(store, 'read_listed', lambda path: again.append(path) or real(path))
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


def test_what_is_kept_of_stored_pictures_knows_that_they_are_cut(tmp_path):
    keys = []
    for crop_box in (False, True):
        data = photos_as_they_are(tmp_path) if keys else photos(tmp_path)
        if crop_box:
            datasets.cut_to_boxes(data)
        keys.append(name_of(data.train, 'trunk'))
        attach(data, tmp_path / 'stores', 'margin')
        keys.append(name_of(data.train.subset(np.arange(6)), 'trunk'))
    assert len(set(keys)) == 4


def test_a_bad_image_stops_the_build_and_is_named(tmp_path):
    data = photos(tmp_path)
    (tmp_path / '7.jpg').write_bytes(b'not a picture')
    with pytest.raises(UserError, match='7.jpg'):
        attach(data, tmp_path / 'stores')
    photos(tmp_path)
    attach(photos(tmp_path), tmp_path / 'stores')


@pytest.fixture
def built(tmp_path):
    """(folder of the photos, of the stores, of the one store of six and six photos)."""
    attach(photos(tmp_path), tmp_path / 'stores', 'margin')
    folder, = (tmp_path / 'stores').iterdir()
    return tmp_path, tmp_path / 'stores', folder


def fresh(built, said=None):
    """The photos through the store, compared with the photos themselves."""
    data, plain = photos_as_they_are(built[0]), photos_as_they_are(built[0])
    attach(data, built[1], 'margin', (said if said is not None else []).append)
    form = store.form_of('margin', 224, False)
    for part in ('train', 'test'):
        for k in range(6):
            np.testing.assert_array_equal(getattr(data, part).read(k), store.shrink(getattr(plain, part).read(k), form))


@pytest.mark.parametrize('name, damage', [
    ('pixels.u8', lambda data: data[:1000]), ('keys.npy', lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    ('rows.npy', lambda data: data[:130] + bytes([data[130] ^ 1]) + data[131:]), ('rows.npy', lambda data: b''),
    ('about.json', lambda data: b'{'), ('about.json', lambda data: data.replace(b'lists', b'lost'))])
def test_a_damaged_store_is_built_again(built, name, damage):
    path, said = built[2] / name, []
    path.write_bytes(damage(path.read_bytes()))
    fresh(built, said)
    assert 'is damaged' in said[0] and 'building the store' in said[1]
    fresh(built, said)
    assert len(said) == 2 and os.listdir(built[1]) == [built[2].name]


def test_damaged_pixels_are_found_and_made_again(built):
    path, said = built[2] / 'pixels.u8', []
    data = bytearray(path.read_bytes())
    data[100] ^= 255
    data[-100] ^= 1
    status = os.stat(path)
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    fresh(built, said)
    assert said == [] and path.read_bytes()[100] == data[100] ^ 255


def test_a_photo_that_is_replaced_under_its_name_is_decoded_again(built, monkeypatch):
    photo, said, count = built[0] / '3.jpg', [], []
    photo.write_bytes(fake_data.photo(77, 260, 300))
    real = store.read_listed
    monkeypatch.setattr(store, 'read_listed', lambda path: count.append(path) or real(path))
    fresh(built, said)
    assert count == [str(photo)] and '1 photos have changed' in said[0]
    fresh(built, said)
    assert len(said) == 2 and os.listdir(built[1]) == [built[2].name]


def test_two_data_sets_with_the_same_names_have_two_stores(built, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    photos(other)
    attach(photos_as_they_are(other), built[1], 'margin')
    assert len(os.listdir(built[1])) == 2


def test_an_interrupted_build_forgets_photos_that_have_changed_since(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, 'BLOCK', 4)
    with monkeypatch.context() as patch:
        patch.setattr(packed.os, 'rename', lambda *names: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            attach(photos(tmp_path), tmp_path / 'stores', 'margin')
    part, = (tmp_path / 'stores').glob('*.part')
    (part / 'rows.i64').write_bytes(np.load(part / 'rows.npy').tobytes())
    (tmp_path / '5.jpg').write_bytes(fake_data.photo(99, 300, 300))
    said, folder = [], tmp_path / 'stores'
    fresh((tmp_path, folder), said)
    assert 'going on after 5' in said[0]
