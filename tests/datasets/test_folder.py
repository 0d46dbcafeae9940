"""Records, the built-in letters, folders and CSV files, the loader."""

import argparse
import hashlib
import os
import pathlib

import cv2
import numpy as np
import pytest

import datasets
from core.contracts import Plan
from core.errors import UserError
from datasets import glyphs
from datasets.loader import Loader, sequential
from datasets.pictures import BadImage
from datasets.records import Split, cut
from datasets.transforms import get_transform
from tests.datasets.test_pictures import PHOTO, as_pil, write
from tests.shared import SHARED, needs_shared

RNG = np.random.RandomState


def parsed(*argv):
    parser = argparse.ArgumentParser()
    datasets.add_args(parser)
    return parser.parse_args(list(argv))


def load(*argv):
    return datasets.from_args(parsed(*argv))


# --- records ----------------------------------------------------------------------------------------------------------

def test_labels_are_counted_from_zero_and_the_raw_ids_stay():
    split = Split([7, 3, 7, 100], ['a', 'b', 'c', 'd'], {3: 'three', 7: 'seven', 100: 'hundred'}, root='/r')
    assert split.labels.tolist() == [1, 0, 1, 2] and split.class_id.tolist() == [7, 3, 7, 100]
    assert split.names == ['three', 'seven', 'hundred'] and split.num_classes == 3 and split.path(3) == '/r/d'
    part = split.subset([3, 0])
    assert part.labels.tolist() == [1, 0] and part.names == ['seven', 'hundred'] and part.paths.tolist() == ['d', 'a']
    assert split.subset(split.labels == 2, keep_classes=True).labels.tolist() == [2]
    with pytest.raises(UserError):
        split.subset([])
    with pytest.raises(ValueError):
        Split([1, 2], classes=[1, 3])


def test_a_part_reads_the_images_of_the_whole():
    images = RNG(0).randint(0, 256, (5, 4, 4)).astype(np.uint8)
    split = Split([0, 0, 1, 1, 2], reader=images.__getitem__, boxes=[[1, 1, 2, 3]] * 5)
    part = split.subset([4, 2])
    assert part.read(0).shape == (4, 4, 3)
    np.testing.assert_array_equal(part.read(1)[:, :, 2], images[2])
    part.crop_box = True
    np.testing.assert_array_equal(part.read(1)[:, :, 0], images[2][1:4, 1:3])


def test_boxes_are_bounded_by_the_image_and_never_empty():
    assert cut(PHOTO, (50, 40, 100, 100)).shape == (4, 10, 3)
    assert cut(PHOTO, (-5, -5, 10, 10)).shape == (5, 5, 3)
    assert cut(PHOTO, (500, 500, 3, 3)).shape == (1, 1, 3)
    assert cut(PHOTO, (3, 3, 0, 0)).shape == (1, 1, 3)


# --- the built-in letters ---------------------------------------------------------------------------------------------

SMALL = ('--glyphs_classes=6', '--glyphs_instances=16')


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
    data = load(f'--data_dir={tmp_path}', *SMALL)
    assert (len(data.train), len(data.test), data.train.num_classes, data.test.num_classes) == (96, 96, 6, 6)
    assert not set(data.train.names) & set(data.test.names) and data.protocol == 'zero-shot'
    assert data.train.read(0).shape == (48, 48, 3) and data.train.names[data.train.labels[0]] in data.train.path(0)
    assert os.listdir(tmp_path) == ['easy_12x16_seed0.npz']
    again = load(f'--data_dir={tmp_path}', *SMALL)
    for k in (0, 50, 95):
        np.testing.assert_array_equal(again.test.read(k), data.test.read(k))
    cache = next(tmp_path.iterdir())
    for damaged in (b'', cache.read_bytes()[:1000]):
        cache.write_bytes(damaged)
        np.testing.assert_array_equal(load(f'--data_dir={tmp_path}', *SMALL).test.read(7), data.test.read(7))


def test_letters_that_cannot_be_kept_say_where(tmp_path):
    blocked = tmp_path / 'file'
    blocked.write_text('x')
    with pytest.raises(UserError, match='--data_dir=DIR'):
        load('--data_dir={}'.format(blocked / 'below'), *SMALL)


def test_validation_classes_come_off_the_training_classes(tmp_path):
    data = load(f'--data_dir={tmp_path}', *SMALL, '--val_classes=2')
    whole = load(f'--data_dir={tmp_path}', *SMALL)
    assert data.train.num_classes == 4 and data.val.num_classes == 2
    assert data.train.names + data.val.names == whole.train.names
    assert data.val.labels.min() == 0 and data.val.labels.max() == 1
    np.testing.assert_array_equal(data.val.read(0), whole.train.read(int(np.argmax(whole.train.labels >= 4))))
    assert load(f'--data_dir={tmp_path}', *SMALL, '--val_classes=0.5').val.num_classes == 3
    for wrong in ('6', '0.01', '2.5'):
        with pytest.raises(UserError, match='--val_classes'):
            load(f'--data_dir={tmp_path}', *SMALL, '--val_classes=' + wrong)
    with pytest.raises(UserError, match='--crop_box'):
        load(f'--data_dir={tmp_path}', *SMALL, '--crop_box')


def test_folds_cut_the_training_classes_and_leave_the_test_images_alone(tmp_path):
    whole, seen = load(f'--data_dir={tmp_path}', *SMALL), []
    for number in (1, 2, 3):
        data = load(f'--data_dir={tmp_path}', *SMALL, f'--fold={number}/3')
        assert data.train.num_classes == 4 and data.test.num_classes == 2 and data.val is None
        assert sorted(data.train.names + data.test.names) == sorted(whole.train.names)
        seen += data.test.names
    assert seen == whole.train.names and not set(seen) & set(whole.test.names)
    with pytest.raises(UserError, match='at most 3 folds'):
        load(f'--data_dir={tmp_path}', *SMALL, '--fold=1/4')


# --- folders and CSV files --------------------------------------------------------------------------------------------

@pytest.fixture
def tree(tmp_path):
    """Five classes of three photos; one class has a name in Unicode and one photo lies deeper."""
    for number, name in enumerate(('a', 'b', 'c', 'd', 'é 鳥')):
        for k in range(3):
            inner = 'deep/' if (name, k) == ('b', 2) else ''
            write(str(tmp_path / 'photos' / name / f'{inner}{k}.png'), PHOTO // 5 * (number + 1) // 4)
    (tmp_path / 'photos' / 'a' / 'notes.txt').write_text('no image')
    (tmp_path / 'photos' / '.hidden').mkdir()
    return tmp_path / 'photos'


def folder(path, *argv):
    return load('--data_name=folder', f'--data_dir={path}', *argv)


def table(path, text):
    path.write_text(text)
    return path


def test_class_folders_split_by_sorted_class(tree):
    data = folder(tree)
    assert data.train.names == ['a', 'b'] and data.test.names == ['c', 'd', 'é 鳥']
    assert len(data.train) == 6 and len(data.test) == 9 and data.protocol == 'zero-shot' and not data.notes
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.class_id.tolist() == [2, 2, 2, 3, 3, 3, 4, 4, 4]
    np.testing.assert_array_equal(data.test.read(8), PHOTO // 5 * 5 // 4)
    assert data.train.paths[5] == os.path.join('b', 'deep', '2.png')


def test_part_folders(tmp_path):
    for part, names in (('train', 'ab'), ('test', 'ab')):
        for name in names:
            write(str(tmp_path / part / name / '0.png'))
    data = folder(tmp_path)
    assert data.protocol == 'classification' and data.test.names == ['a', 'b']
    with pytest.raises(UserError, match='scored on its training classes'):
        folder(tmp_path, '--val_classes=1')
    write(str(tmp_path / 'test' / 'c' / '0.png'))
    data = folder(tmp_path)
    assert data.protocol == 'mixed' and '2 of 3 test classes' in data.notes[0]


def test_a_validation_part_of_its_own(tree):
    rows = ['a/0.png,a,train', 'b/0.png,b,val', 'c/0.png,c,test']
    path = table(tree / 'l.csv', '\n'.join(['path,label,split', *rows]))
    assert folder(path).val.names == ['b']
    with pytest.raises(UserError, match='validation part of its own'):
        folder(path, '--val_classes=1')


def test_csv_with_a_query_and_a_gallery(tree):
    path = table(tree / 'list.csv', 'path,label,split,super_label\n' + '\n'.join(
        ['a/0.png,10,train,x', 'a/1.png,10,Train,x', 'c/0.png,2,query,y', 'c/1.png,2,gallery,y', 'd/0.png,9,query,y',
         'd/1.png,3,gallery,y']) + '\n')
    data = folder(path)
    assert data.protocol == 'query-gallery' and data.test.names == ['2', '3', '9'] and data.train.names == ['10']
    assert data.test.query.tolist() == [True, False, True, False]
    assert data.train.super_label.tolist() == [0, 0] and data.test.super_label.tolist() == [1] * 4
    assert any('1 query classes have no image in the gallery, such as 9' in note for note in data.notes)
    np.testing.assert_array_equal(data.test.read(1), PHOTO // 5 * 3 // 4)


def test_split_file_and_boxes(tree):
    listed = table(tree / 'all.csv', 'path,label,x,y,w,h\na/0.png,p,1,2,10,20\nb/0.png,q,0,0,5,5\nc/0.png,p,0,0,9,9\n')
    split = table(tree / 'split.csv', 'path,split\na/0.png,train\nb/0.png,test\n')
    data = folder(listed, f'--split={split}', '--crop_box')
    assert data.train.names == ['p'] and data.test.names == ['q'] and data.train.read(0).shape == (20, 10, 3)
    assert any('1 images are not named' in note for note in data.notes)
    data = folder(tree, f'--split={split}')
    assert (data.train.paths.tolist(), data.test.paths.tolist()) == (['a/0.png'], ['b/0.png'])


def test_classes_of_one_image_and_repeated_rows_are_said(tree):
    rows = ['a/0.png,1', 'b/0.png,2', 'b/1.png,2', 'b/1.png,2', 'c/0.png,7', 'd/0.png,7']
    data = folder(table(tree / 'l.csv', '\n'.join(['path,label', *rows])))
    assert any('1 images were listed more than once' in note for note in data.notes)
    assert any('1 training classes have a single image' in note for note in data.notes)
    assert data.train.names == ['1'] and data.test.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize('text, words', [
    ('name,label\na,b\n', 'no column path'),
    ('path,label\n', 'no image'),
    ('path,label\na/0.png,\n', 'line 2: the column label is empty'),
    ('path,label,split\na/0.png,x,trian\n', "'trian' is unknown"),
    ('path,label,split\na/0.png,x,train\n', 'images for train only'),
    ('path,label,split\na/0.png,x,train\nb/0.png,y,query\n', 'query and gallery together'),
    ('path,label\na/0.png,x\na/0.png,y\n', 'a/0.png is listed with different label: x; y'),
    ('path,label,split\na/0.png,x,train\na/0.png,x,test\n', 'listed with different label and split'),
    ('path,label\na/0.png,x\n', 'one class'),
    ('path,label,x,y,w,h\na/0.png,x,1,2,3,\nb/0.png,y,1,1,1,1\n', 'the box of a/0.png'),
    ('"', 'cannot be read'),
    ('', 'cannot be read'),
])
def test_bad_lists_are_explained(tree, text, words):
    with pytest.raises(UserError) as error:
        folder(table(tree / 'l.csv', text))
    assert words in str(error.value)


def test_bad_folders_and_split_files_are_explained(tree, tmp_path):
    (tmp_path / 'empty').mkdir()
    for argv, words in (
            ((tmp_path / 'nowhere',), 'does not exist'),
            ((tmp_path / 'empty',), 'no image in a class folder'),
            ((tree, '--split=nowhere.csv'), 'nowhere.csv does not exist'),
            ((tree, '--split={}'.format(table(tmp_path / 's.csv', 'path,split\nz.png,train\n'))), 'such as z.png'),
            ((tree, '--split={}'.format(table(tmp_path / 's2.csv', 'path,split\na/0.png,train\na/0.png,test\n'))),
             'twice')):
        with pytest.raises(UserError, match=words):
            folder(*argv)
    with pytest.raises(UserError, match='--data_dir'):
        load('--data_name=folder')


def test_names_of_data_sets():
    assert datasets.resolve('Glyphs') == 'glyphs' and datasets.default_name([]) == 'glyphs'
    assert datasets.default_name(['--data_dir=x']) == 'folder'
    assert datasets.preset('glyphs', 'margin')['backbone'] == 'convnet' and datasets.preset('folder', 'margin') == {}
    with pytest.raises(UserError, match='glyphs'):
        datasets.resolve('glyph')


@needs_shared
def test_real_photos_read_as_pil_reads_them():
    data = folder(SHARED / 'data/cub200_2010/images')
    assert len(data.train) == 2990 and len(data.test) == 3043
    for k in range(0, 2990, 400):
        np.testing.assert_array_equal(data.train.read(k), as_pil(data.train.path(k)))


# --- the loader -------------------------------------------------------------------------------------------------------

@pytest.fixture
def split(tmp_path):
    """Six photos of two classes."""
    paths = [write(str(tmp_path / f'{k}.png'), np.roll(PHOTO, 5 * k, axis=1)) for k in range(6)]
    return Split([0, 0, 0, 1, 1, 1], paths)


def plans(count=5, n=4):
    rng = RNG(1)
    return [Plan(rng.randint(6, size=n), rng.randint(2 ** 32, size=n, dtype=np.uint32), k) for k in range(count)]


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
        mirrored = {np.ascontiguousarray(picture[:, ::-1]).tobytes() for picture in image}
        assert len(kinds) == 2 and kinds == mirrored
        offsets.append(min(kinds))
    assert len(set(offsets)) > 3


def test_evaluation_visits_every_row_once(split):
    batches = list(Loader(split, get_transform('none', False, 16), 2)(sequential(6, 4)))
    assert [b.index.tolist() for b in batches] == [[0, 1, 2, 3], [4, 5]]


def test_triplets_are_expanded_when_the_batch_is_due(split):
    plan = plans(1)[0]._replace(extra=lambda: 'expanded')
    assert next(iter(Loader(split, get_transform('none', False, 16), 0)([plan]))).extra == 'expanded'


@pytest.mark.parametrize('workers', [0, 3])
def test_a_bad_image_is_named_or_replaced_within_its_class(split, workers):
    for k in (3, 4):
        pathlib.Path(split.paths[k]).write_bytes(b'broken')
    transform = get_transform('embedding_expansion', True, 16)
    plan = Plan(np.array([0, 4, 3, 5]), np.arange(4, dtype=np.uint32), None)
    with pytest.raises(BadImage, match='4.png'):                        # the first in the batch, not the first to fail
        list(Loader(split, transform, workers)([plan]))
    loader = Loader(split, transform, workers, on_bad_image='skip')
    batch = next(iter(loader([plan])))
    assert batch.index.tolist() == [0, 5, 5, 5] and batch.label.tolist() == [0, 1, 1, 1]
    assert loader.replaced == {3: 5, 4: 5}
    np.testing.assert_array_equal(batch.image[1], transform(split.read(5), RNG(1)))
    os.remove(split.paths[5])
    with pytest.raises(UserError, match='no image of class 1 can be read'):
        list(Loader(split, transform, workers, on_bad_image='skip')([plan]))
    with pytest.raises(UserError, match='--on_bad_image=ignore'):
        Loader(split, transform, workers, on_bad_image='ignore')


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
