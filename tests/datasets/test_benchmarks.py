"""Every benchmark from its (tiny) archives to pictures; wrong lists; the index; facts against their sources."""

import gzip
import json
import os
import re

import numpy as np
import pytest

import datasets
from commands import cli
from core.errors import UserError
from datasets import benchmarks
from datasets.benchmarks import BENCHMARKS, mnist
from datasets.benchmarks.lists import Missing
from datasets.loader import Loader, sequential
from datasets.preparation.prepare import prepare
from datasets.transforms import get_transform
from tests.datasets import fake_data
from tests.shared import SHARED, needs_shared


def prepared(published, name, root):
    """(facts, root) of the fake of benchmark `name` after `prepare`."""
    numbers = fake_data.BUILDERS[name](published.folder)
    fake = fake_data.facts(name, published.folder, published.address, numbers)
    given = [published.folder / archive.name for archive in fake.sources[0] if not archive.urls]
    if name == 'street2shop':
        root.mkdir()
        (published.folder / 'photos').rename(root / 'images')
    prepare(name, root, archive=given, benchmark=fake, log=lambda text: None)
    return fake


@pytest.mark.parametrize('name', sorted(fake_data.BUILDERS))
def test_prepare_load_read(published, tmp_path, name):
    fake = prepared(published, name, tmp_path / 'data')
    for data_name, protocol in fake.protocols.items():
        data = benchmarks.load(tmp_path / 'data', name=data_name, benchmark=fake)
        assert data.protocol == protocol and not [note for note in data.notes if 'not comparable' in note]
        for split in (data.train, data.test):
            if split is None:
                assert data_name == 'lfw'
                continue
            assert len(np.unique(split.labels)) == split.num_classes == split.labels.max() + 1
            assert np.array_equal(split.classes[split.labels], split.class_id)
            plans = sequential(len(split), 4)
            loader = Loader(split, get_transform('embedding_expansion', True, 32), 0)
            pictures = np.concatenate([batch.image for batch in loader(plans)])
            assert pictures.shape == (len(split), 32, 32, 3) and pictures.std() > 10
        if protocol == 'classification':
            assert np.array_equal(data.train.classes, data.test.classes) and data.train.names == data.test.names
        if protocol in ('zero-shot', 'query-gallery'):
            assert not set(data.train.class_id) & set(data.test.class_id)


@pytest.mark.parametrize('name', sorted(set(fake_data.BUILDERS) - {'lfw'}))
def test_train_and_evaluate_through_the_command_line(published, tmp_path, name):
    """One epoch on the tiny copy; lfw has no training part."""
    prepared(published, name, tmp_path / 'data')
    assert cli.run(['--data_name=' + name, '--data_dir={}'.format(tmp_path / 'data'), '--loss=triplet_semihard',
                    '--backbone=convnet', '--pretrained=false', '--image_size=32', '--embed_dim=8', '--batch_size=4',
                    '--num_instances=2', '--epochs=1', '--eval_epoch_term=1', '--recallk=1,2', '--num_workers=0',
                    '--figures=false', '--save_dir={}'.format(tmp_path / 'run')]) == 0
    result = json.loads((tmp_path / 'run' / 'result.json').read_text())
    assert result['data_name'] == name and 0 <= result['recall']['1'] <= 1


def loaded(published, tmp_path, name, data_name=None):
    fake = prepared(published, name, tmp_path / 'data')
    return benchmarks.load(tmp_path / 'data', name=data_name or name, benchmark=fake)


def test_cub200_order_names_boxes(published, tmp_path):
    data = loaded(published, tmp_path, 'cub200')
    assert data.train.class_id.tolist() == [1] * 4 + [7] * 4 and data.test.class_id.tolist() == [101] * 4 + [150] * 4
    assert data.train.names == ['001.Black_footed_Albatross', '007.Dünnschnabelmöwe']
    assert data.train.paths[4] == 'CUB_200_2011/images/007.Dünnschnabelmöwe/Dünnschnabelmöwe_0000.jpg'
    datasets.cut_to_boxes(data)
    assert data.train.read(6).shape == (22, 30, 3)


def test_cub200_2010_is_split_by_class_number(tmp_path):
    for number, count in ((1, 2), (100, 1), (101, 3), (200, 2)):
        title = '001.Black_footed_Albatross' if number == 1 else f'{number:03d}.Bird'
        (tmp_path / 'images' / title).mkdir(parents=True)
        for k in range(count):
            (tmp_path / 'images' / title / f'{k}.jpg').write_bytes(fake_data.photo(number + k))
        (tmp_path / 'images' / title / '.DS_Store').write_bytes(b'')
    data = datasets.load('cub200_2010', tmp_path)
    assert data.train.class_id.tolist() == [1, 1, 100] and data.test.class_id.tolist() == [101] * 3 + [200] * 2
    assert any('training class has a single image' in note for note in data.notes)
    assert any('not comparable: train has 3 images where the data set has 2,990' in note for note in data.notes)


def test_cars_boxes_are_one_based_corners(published, tmp_path):
    data = loaded(published, tmp_path, 'cars196')
    assert data.train.class_id.tolist() == [3] * 3 + [98] * 3 and data.test.class_id.tolist() == [99] * 3 + [196] * 3
    np.testing.assert_array_equal(data.train.boxes[0], [2, 1, 30, 20])
    assert data.train.names == ['Model 3', 'Model 98'] and data.test.paths[0] == 'car_ims/000007.jpg'


@pytest.mark.parametrize('name, train, test', [
    ('cars196', [1] * 5 + [98] * 5, [99] * 5 + [196] * 5),
    ('stanford_cars', [1] * 3 + [98] * 3 + [99] * 3 + [196] * 3, [1] * 2 + [98] * 2 + [99] * 2 + [196] * 2)])
def test_both_car_sets_read_the_kaggle_copy(published, tmp_path, name, train, test):
    fake_data.cars_kaggle(published.folder)
    fake = fake_data.facts(name, published.folder, published.address, {})
    archive = published.folder / 'stanford-car-dataset-by-classes-folder.zip'
    prepare(name, tmp_path / 'data', archive=[archive], benchmark=fake, log=lambda text: None)
    data = benchmarks.load(tmp_path / 'data', name=name, benchmark=fake)
    assert sorted(data.train.class_id.tolist()) == train and sorted(data.test.class_id.tolist()) == test
    assert data.train.read(0).shape == (40, 52, 3) and 'Model 98' in data.train.names


def test_sop_keeps_super_classes(published, tmp_path):
    data = loaded(published, tmp_path, 'sop')
    assert data.train.class_id.tolist() == [1] * 3 + [2] * 3 + [5] * 3
    assert data.train.super_label.tolist() == [1] * 3 + [3] * 3 + [1] * 3
    assert data.train.names == ['bicycle_1', 'chair_2', 'bicycle_5']


def test_inshop_query_gallery_boxes_types(published, tmp_path):
    data = loaded(published, tmp_path, 'inshop')
    assert data.protocol == 'query-gallery' and data.train.query is None
    assert data.test.query.tolist() == [True, False, False, False, True, True, False, False]
    np.testing.assert_array_equal(data.train.boxes[:3], [[50, 20, 150, 230]] * 2 + [[0, 0, 256, 256]])
    assert data.train.super_label.tolist() == [1] * 3 + [0] * 2      # MEN/Dresses, WOMEN/Dresses


def test_inshop_refuses_the_high_resolution_corpus(tmp_path):
    (tmp_path / 'img_highres').mkdir()
    (tmp_path / 'list_eval_partition.txt').write_text('0\nheader\n')
    (tmp_path / 'list_bbox_inshop.txt').write_text('0\nheader\n')
    with pytest.raises(UserError, match='holds img_highres, whose pixels differ'):
        datasets.load('inshop', tmp_path)


def test_street2shop_drops_dead_photos_and_keeps_distractors(published, tmp_path):
    fake = prepared(published, 'street2shop', tmp_path / 'data')
    data = benchmarks.load(tmp_path / 'data', name='street2shop', benchmark=fake)
    assert '1 of 77 listed photos have no file' in data.notes
    assert len(data.test) == 22 + 32 and data.test.query.sum() == 22
    one = benchmarks.load(tmp_path / 'data', name='street2shop_belts', benchmark=fake)
    assert one.test.query.tolist() == [True, True, False, False, False]
    assert one.test.class_id.tolist() == [102, 103, 101, 102, 103] and one.train.class_id.tolist() == [101, 101]
    np.testing.assert_array_equal(one.test.boxes[0], [2, 3, 20, 15])
    datasets.cut_to_boxes(one)
    assert one.test.read(0).shape == (15, 20, 3) and one.test.read(3).shape == (40, 52, 3)


def test_lfw_pairs_name_rows(published, tmp_path):
    fake = prepared(published, 'lfw', tmp_path / 'data')
    data = benchmarks.load(tmp_path / 'data', name='lfw', benchmark=fake)
    pairs, file = data.pairs, [os.path.basename(path) for path in data.test.paths]
    assert pairs['fold'].tolist() == [0] * 4 + [1] * 4 and pairs['same'].tolist() == [True, True, False, False] * 2
    assert [(file[a], file[b]) for a, b in zip(pairs['a'], pairs['b'])][3:6] == [
        ('Bo_Xi_0002.jpg', 'Carla_Bruni_0001.jpg'), ('Ana_Ivanovic_0002.jpg', 'Ana_Ivanovic_0003.jpg'),
        ('Dai_Wei_0002.jpg', 'Dai_Wei_0001.jpg')]
    same = data.test.labels[pairs['a']] == data.test.labels[pairs['b']]
    assert np.array_equal(same, pairs['same'])
    view = benchmarks.load(tmp_path / 'data', name='lfw_view1', benchmark=fake)
    assert view.train.names == ['Ana_Ivanovic', 'Bo_Xi'] and view.test.names == ['Carla_Bruni', 'Dai_Wei']


@pytest.mark.parametrize('text, said', [
    ('2 2\nA 1 2\n', 'need 8 lines, found 1'), ('A 1 2\n', 'line 1: the number of folds'),
    ('1\nA 1 2\nA 1 B\n', 'line 3: expected name1 n1 name2 n2'), ('x\nA 1 2\n', "line 1: 'x' where a whole number"),
    ('1\nBo_Xi 1 9\nBo_Xi 1 Dai_Wei 1\n', 'line 2: there is no image Bo_Xi_0009')])
def test_wrong_pair_lists_are_named(published, tmp_path, text, said):
    prepared(published, 'lfw', tmp_path / 'data')
    (tmp_path / 'data' / 'pairs.txt').write_text(text)
    with pytest.raises(UserError, match='pairs.txt.*' + said):
        benchmarks.parse(BENCHMARKS['lfw'], 'lfw', tmp_path / 'data')


def test_mnist_holds_the_first_digits_aside_and_reads_plain_files(published, tmp_path, monkeypatch):
    fake_data.mnist(published.folder)
    monkeypatch.setattr(mnist, 'HELD_ASIDE', 5)
    packed = benchmarks.parse(BENCHMARKS['mnist'], 'mnist', published.folder)
    assert len(packed.train.class_id) == 35 and packed.train.class_id[0] == 5
    for path in list(published.folder.glob('*.gz')):
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    plain = benchmarks.parse(BENCHMARKS['mnist'], 'mnist', tmp_path)
    np.testing.assert_array_equal(plain.train.images, packed.train.images)
    np.savez(tmp_path / 'mnist.npz', x_train=plain.train.images, y_train=plain.train.class_id,
             x_test=plain.test.images, y_test=plain.test.class_id)
    again = benchmarks.parse(BENCHMARKS['mnist'], 'mnist', tmp_path)
    np.testing.assert_array_equal(again.test.images, packed.test.images)


def test_damaged_digits_are_named(published, tmp_path):
    fake_data.mnist(published.folder)
    path = published.folder / 't10k-images-idx3-ubyte.gz'
    good = path.read_bytes()
    path.write_bytes(good[:len(good) // 2])
    with pytest.raises(UserError, match='t10k-images-idx3-ubyte.gz is damaged'):
        benchmarks.parse(BENCHMARKS['mnist'], 'mnist', published.folder)
    path.write_bytes(gzip.compress(gzip.decompress(good)[:-1]))
    with pytest.raises(UserError, match='is cut off: its header promises 15,680 bytes, 15,679'):
        benchmarks.parse(BENCHMARKS['mnist'], 'mnist', published.folder)


@needs_shared
def test_the_ten_thousand_digits():
    folder = SHARED / 'data' / 'mnist_t10k'
    data = datasets.load('mnist_t10k', folder)
    assert (len(data.train), len(data.test), data.train.num_classes) == (8000, 2000, 10)
    with np.load(folder / 'mnist_t10k.npz') as file:
        np.testing.assert_array_equal(data.test.read(3)[:, :, 1], file['images'][19])
        assert data.test.class_id[3] == file['labels'][19]
    with pytest.raises(UserError, match='use --data_name=mnist_t10k'):
        datasets.load('mnist', folder)


@needs_shared
def test_the_photos_of_cub200_2010():
    data = datasets.load('CUB-200-2010', SHARED / 'data' / 'cub200_2010')
    assert (len(data.train), len(data.test), data.train.num_classes, data.test.num_classes) == (2990, 3043, 100, 100)
    assert data.notes == () and data.train.read(0).shape == (224, 224, 3)


# ---- wrong lists

@pytest.mark.parametrize('lists, said', [
    ({'images.txt': '1 a.jpg\n2\n'}, 'images.txt, line 2: expected 2 columns, found 1'),
    ({'images.txt': ''}, 'images.txt lists nothing'),
    ({'image_class_labels.txt': '1 1\n'}, 'image_class_labels.txt has no line for 1 of 2 images, such as 2'),
    ({'image_class_labels.txt': '1 one\n2 101\n'}, "class_labels.txt, line 1: 'one' where a whole number is expected"),
    ({'images.txt': '1 a.jpg\n2 a.jpg\n', 'image_class_labels.txt': '1 1\n2 1\n'}, 'a.jpg is listed twice'),
    ({'images.txt': '1 a.jpg\n2 a.jpg\n'}, 'listed in the training and in the test part'),
    ({'image_class_labels.txt': '1 1\n2 2\n'}, 'the test part has no images'),
])
def test_wrong_lists_are_named(tmp_path, lists, said):
    good = {'images.txt': '1 a.jpg\n2 b.jpg\n', 'image_class_labels.txt': '1 1\n2 101\n', 'classes.txt': '1 A\n101 B\n',
            'bounding_boxes.txt': '1 0 0 5 5\n2 0 0 5 5\n'}
    for name, text in {**good, **lists}.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=re.escape(said)):
        benchmarks.parse(BENCHMARKS['cub200'], 'cub200', tmp_path)


def test_a_missing_split_file_is_named(published, tmp_path):
    prepared(published, 'cub200', tmp_path / 'data')
    (tmp_path / 'data' / 'CUB_200_2011' / 'train_test_split.txt').unlink()
    with pytest.raises(Missing, match='train_test_split.txt is not in'):
        benchmarks.parse(BENCHMARKS['cub200'], 'cub200_classification', tmp_path / 'data')
    with pytest.raises(UserError, match='Fix: python3 main.py prepare --data_name=cub200_classification'):
        datasets.load('cub200_classification', tmp_path / 'data')


def test_overlapping_classes_are_refused(published, tmp_path):
    prepared(published, 'sop', tmp_path / 'data')
    path = tmp_path / 'data' / 'Stanford_Online_Products' / 'Ebay_test.txt'
    path.write_text(path.read_text().replace(' 11319 ', ' 5 '))
    with pytest.raises(UserError, match='1 class is in the training and in the test part, such as class 5'):
        benchmarks.parse(BENCHMARKS['sop'], 'sop', tmp_path / 'data')


def test_a_damaged_mat_is_named(published, tmp_path):
    prepared(published, 'flowers102', tmp_path / 'data')
    (tmp_path / 'data' / 'setid.mat').write_bytes(b'MATLAB 5.0 but not really')
    with pytest.raises(UserError, match='setid.mat is damaged'):
        benchmarks.parse(BENCHMARKS['flowers102'], 'flowers102', tmp_path / 'data')
