"""Folders of photos and CSV files: splits, lists, and what is said about them."""

import argparse
import os

import numpy as np
import pytest

import datasets
from core.errors import UserError
from datasets import summary
from tests.datasets.test_pictures import PHOTO, as_pil, write
from tests.shared import SHARED, needs_shared


def load(*argv):
    parser = argparse.ArgumentParser()
    datasets.add_args(parser)
    return datasets.from_args(parser.parse_args(list(argv)))


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
    assert any('1 image not named in' in note for note in data.notes)
    data = folder(tree, f'--split={split}')
    assert (data.train.paths.tolist(), data.test.paths.tolist()) == (['a/0.png'], ['b/0.png'])


def test_classes_of_one_image_and_repeated_rows_are_said(tree):
    rows = ['a/0.png,1', 'b/0.png,2', 'b/1.png,2', 'b/1.png,2', 'c/0.png,7', 'd/0.png,7']
    data = folder(table(tree / 'l.csv', '\n'.join(['path,label', *rows])))
    assert any('1 row names an image again: it counts once' in note for note in data.notes)
    assert any('1 training class has a single image' in note for note in data.notes)
    assert data.train.names == ['1'] and data.test.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize('text, words', [
    ('name,label\na,b\n', 'no column path'),
    ('path,label\n', 'no row'),
    ('path,label\na/0.png,\n', 'line 2: the column label is empty'),
    ('path,label,split\na/0.png,x,trian\n', "'trian' is unknown"),
    ('path,label,split\na/0.png,x,train\n', 'images for train only'),
    ('path,label,split\na/0.png,x,train\nb/0.png,y,query\n', 'query and gallery together'),
    ('path,label\na/0.png,x\na/0.png,y\n', "line 3: the image a/0.png has the label 'y', and in line 2 'x'"),
    ('path,label,split\na/0.png,x,train\na/0.png,x,test\n', "has the split 'test', and in line 2 'train'"),
    ('path,label,x,y,w,h\na/0.png,x,1,2,3,\nb/0.png,y,1,1,1,1\n', "line 2: h is '', expected a number"),
    ('path,label,x,y,w,h\na/0.png,x,1,2,3,0\nb/0.png,y,1,1,1,1\n', 'line 2: the box has no width or no height'),
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
            ((tmp_path / 'empty',), 'holds no image'),
            ((tree, '--split=nowhere.csv'), 'nowhere.csv does not exist'),
            ((tree, '--split={}'.format(table(tmp_path / 's.csv', 'path,split\nz.png,train\n'))),
             'line 2: --data_dir has no image z.png'),
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


# --- what messy folders hold ------------------------------------------------------------------------------------------

def test_what_is_no_picture_is_counted_and_what_archivers_leave_is_no_class(tree):
    for name in ('__MACOSX/._x.jpg', '@eaDir/a.jpg', 'a/notes.xml', 'a/Thumbs.db', 'a/README', 'outside.png'):
        write(str(tree / 'x.png'))
        (tree / name).parent.mkdir(exist_ok=True)
        os.replace(tree / 'x.png', tree / name)
    (tree / 'a' / 'README').write_text('no picture')
    (tree / 'hollow').mkdir()
    (tree / 'b' / 'link').symlink_to(tree / 'a')
    write(str(tree / 'a' / 'no_ending.png'))
    os.replace(tree / 'a' / 'no_ending.png', tree / 'a' / 'no_ending')
    data = folder(tree)
    assert data.train.names == ['a', 'b'] and 'a/no_ending' in data.train.paths
    assert dict(data.ignored) == {
        'folder __MACOSX': 1, 'folder @eaDir': 1, 'file ending in .txt': 1, 'file ending in .xml': 1,
        'file ending in .db': 1, 'file without an ending that is no picture': 1,
        'picture outside a class folder': 1, 'folder without a picture': 1,
        'link to a folder inside a class folder': 1}
    found = summary.summary(data)
    assert len(found['train'].pop('fingerprint')) == 24
    assert found['train'] == {'images': 7, 'classes': 2, 'smallest_class': {'name': 'b', 'images': 3}}
    text = '\n'.join(summary.lines(found))
    assert 'training: 7 images of 2 classes; smallest class: b (3 images)' in text
    assert '1 file ending in .xml' in text and '1 folder __MACOSX' in text


def test_parts_beside_rubbish_are_parts(tmp_path):
    for name in ('Train/a', 'train/b', 'test/c', '__MACOSX/train', 'old/x'):
        for k in range(2):
            write(str(tmp_path / name / f'{k}.png'))
    data = folder(tmp_path)
    assert data.train.names == ['a', 'b'] and data.test.names == ['c'] and data.protocol == 'zero-shot'
    assert data.ignored['folder old beside Train and test and train'] == 1


@pytest.mark.parametrize('rows', ['./a/0.png,x\na/0.png,x\n', 'a//0.png,x\nb/../a/0.png,x \n'])
def test_one_image_by_two_names_counts_once(tree, rows):
    path = table(tree / 'l.csv', f'path,label\n{rows}{tree}/a/0.png,x\nb/0.png,y\n')
    data = folder(path)
    assert len(data.train) == len(data.test) == 1
    assert any('2 rows name an image again' in note for note in data.notes)


@pytest.mark.parametrize('same', [('x', 'x '), ('caf\u00e9', 'cafe\u0301')])
def test_a_class_by_two_names_that_look_alike_is_one(tmp_path, same):
    for name in (*same, 'y', 'z', 'w'):
        (tmp_path / name).mkdir()
        write(str(tmp_path / name / '0.png'), PHOTO)
    listed = table(tmp_path / 'l.csv', 'path,label\n' + ''.join(f'{name}/0.png,{name}\n' for name in (*same, 'y')))
    data, of_list = folder(tmp_path), folder(listed)
    assert data.train.num_classes + data.test.num_classes == 4
    assert same[0] in data.train.names + data.test.names
    assert any('written in several ways' in note for note in data.notes)
    assert of_list.train.num_classes + of_list.test.num_classes == 2


def test_labels_01_and_1_are_two_classes(tree):
    data = folder(table(tree / 'l.csv', 'path,label\na/0.png,01\na/1.png,1\nb/0.png,2\nb/1.png,3\n'))
    assert data.train.names == ['01', '1'] and data.test.names == ['2', '3']


def test_few_classes_are_refused_with_a_split_that_works(tree, tmp_path):
    for k in range(3):
        for name in 'xy':
            write(str(tmp_path / 'two' / name / f'{k}.png'))
        write(str(tmp_path / 'lone' / str(k) / 'a.png'))
        write(str(tmp_path / 'lone' / f'{k}b' / 'a.png'))
    data = folder(tmp_path / 'two')
    with pytest.raises(UserError, match='1 class to train on and 1 to test on are too few.*--split=within'):
        summary.check_trainable(data)
    data = folder(tmp_path / 'two', '--split=within')
    summary.check_trainable(data)
    assert data.protocol == 'classification' and data.train.names == data.test.names == ['x', 'y']
    assert data.train.paths.tolist() == ['x/0.png', 'x/1.png', 'y/0.png', 'y/1.png']
    assert data.test.paths.tolist() == ['x/2.png', 'y/2.png']
    with pytest.raises(UserError, match='every training class has a single image'):
        summary.check_trainable(folder(tmp_path / 'lone'))
    with pytest.raises(UserError, match='two images of a class at least'):
        folder(tmp_path / 'lone', '--split=within')
    with pytest.raises(UserError, match='0 to test|--split=within|no training part'):
        summary.check_trainable(folder(table(tree / 'l.csv', 'path,label\na/0.png,x\na/1.png,x\n')))


def test_the_folder_above_the_class_folders(tree):
    """It would be one class, named after the folder; the one to give is named."""
    data = folder(tree.parent)
    assert data.train is None and data.test.names == ['photos']
    with pytest.raises(UserError) as caught:
        summary.check_trainable(data)
    assert str(caught.value) == ('all 15 images of the folder are of one class, photos, which holds 5 folders of '
                                 f'images (a, b, c, ...): the classes seem to lie deeper. Fix: --data_dir={tree}')


def test_photos_without_labels_can_be_loaded_and_not_trained_on(tree, tmp_path):
    flat = tmp_path / 'flat'
    for k in range(3):
        write(str(flat / f'{k}.png'))
    for data, count in ((folder(flat), 3), (folder(tree, '--split=none'), 15),
                        (folder(table(tree / 'l.csv', 'path\na/0.png\nb/0.png\n')), 2)):
        assert data.protocol == 'unlabelled' and data.train is None and len(data.test) == count
        assert data.test.read(0).shape == (44, 60, 3)
        with pytest.raises(UserError, match='no labels.*embed --checkpoint=RUN'):
            summary.check_trainable(data)


def test_names_that_could_steer_a_terminal_are_spelled_out(tmp_path):
    names = (b'a\x1b[31m', b'b\nline', b'c\xff', b'd$x$', b'e')
    for name in names:
        for k in range(2):
            write(os.path.join(tmp_path, os.fsdecode(name), f'{k}.png'))
    data = folder(tmp_path)
    assert data.train.names + data.test.names == ['a\\x1b[31m', 'b\\nline', 'c\\xff', 'd$x$', 'e']
    assert all(split.read(row).shape == (44, 60, 3) for split in (data.train, data.test) for row in range(len(split)))


def test_home_and_relative_paths(tree, monkeypatch):
    monkeypatch.setenv('HOME', str(tree.parent))
    assert len(folder('~/photos').train) == 6
    monkeypatch.chdir(tree.parent)
    data = folder('photos')
    monkeypatch.chdir('/')
    assert data.train.read(0).shape == (44, 60, 3)
