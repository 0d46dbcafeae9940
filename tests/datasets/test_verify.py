"""Images that cannot be read: one list, known before training, and no row of them anywhere."""

import os
import pathlib

import numpy as np
import pytest

import datasets
from core.errors import UserError
from datasets import summary, verify
from datasets.records import Data, Split
from tests.datasets.test_pictures import PHOTO, write


@pytest.fixture
def photos(tmp_path):
    """Six classes of three photos: one is empty, one is damaged in the middle, one is gone from its place."""
    for name in 'abcdef':
        for k in range(3):
            write(str(tmp_path / 'photos' / name / f'{k}.png'), np.roll(PHOTO, 3 * k + ord(name), axis=1))
    root = tmp_path / 'photos'
    (root / 'a' / '1.png').write_bytes(b'')
    damaged = bytearray((root / 'f' / '2.png').read_bytes())
    damaged[len(damaged) // 2:len(damaged) // 2 + 50] = bytes(50)
    (root / 'f' / '2.png').write_bytes(damaged)
    return root


def test_the_quick_look_stops_before_training_and_names_the_file(photos):
    with pytest.raises(UserError) as error:
        datasets.load('folder', photos)
    assert '1 of 18 images cannot be read' in str(error.value) and 'a/1.png: the file is empty' in str(error.value)
    assert '--on_bad_image=skip' in str(error.value)
    with pytest.raises(UserError, match='--on_bad_image=ignore is unknown. Legal values: error, skip'):
        datasets.load('folder', photos, on_bad_image='ignore')


def test_what_cannot_be_decoded_has_no_row(photos):
    data = datasets.load('folder', photos, on_bad_image='skip', val_classes=1)
    names = {os.path.relpath(path, photos) for path, _ in data.unreadable}
    assert names == {'a/1.png', 'f/2.png'}
    assert (len(data.train), len(data.val), len(data.test)) == (5, 3, 8)
    assert not names & {os.path.relpath(split.path(row), photos) for split in (data.train, data.val, data.test)
                        for row in range(len(split))}
    found = summary.summary(data)
    assert found['unreadable'] == 2 and found['train']['smallest_class'] == {'name': 'a', 'images': 2}
    assert 'left out, as it cannot be read: 2 images' in '\n'.join(summary.lines(found))
    assert summary.unreadable_list(data).startswith(f'{photos}/a/1.png\tthe file is empty\n')


def test_a_class_without_any_readable_image_is_gone_on_both_sides(photos):
    for k in (0, 2):
        (photos / 'a' / f'{k}.png').write_bytes(b'x')
    data = datasets.load('folder', photos, on_bad_image='skip')
    assert data.train.names == ['b', 'c'] and data.train.labels.max() == 1
    data = datasets.load('folder', photos, on_bad_image='skip', split='within')
    assert data.protocol == 'classification' and data.train.names == data.test.names == list('bcdef')
    (photos / 'b' / '0.png').write_bytes(b'x')
    (photos / 'b' / '1.png').write_bytes(b'x')    # not its test image
    data = datasets.load('folder', photos, on_bad_image='skip', split='within')
    assert data.train.names == data.test.names == list('cdef')
    assert '1 test images are left out: no training image of their classes can be read' in data.notes[-1]
    for path in photos.rglob('*.png'):
        path.write_bytes(b'x')
    with pytest.raises(UserError, match='no image of the train part can be read'):
        datasets.load('folder', photos, on_bad_image='skip')


def test_pairs_with_a_missing_image_are_not_scored(tmp_path):
    paths = [write(str(tmp_path / f'{k}.png')) for k in range(4)]
    pathlib.Path(paths[1]).write_bytes(b'x')
    pairs = {'a': np.array([0, 1, 2]), 'b': np.array([2, 3, 3]), 'same': np.array([True, False, True]),
             'fold': np.array([0, 0, 1])}
    data = verify.readable(Data('lfw', None, Split([0, 0, 0, 1], paths), 'pairs', pairs=pairs), 'skip')
    assert len(data.test) == 3 and data.pairs['a'].tolist() == [0, 1] and data.pairs['b'].tolist() == [1, 2]
    assert data.pairs['same'].tolist() == [True, True] and data.pairs['fold'].tolist() == [0, 1]
    assert '1 of 3 pairs have an image that cannot be read' in data.notes[0]


def test_good_files_are_remembered_by_size_and_time(photos, monkeypatch):
    (photos / 'a' / '1.png').unlink()
    (photos / 'f' / '2.png').unlink()
    monkeypatch.setattr(verify, 'WORTH_KEEPING', -1)
    looked = []
    for name in ('check_header', 'read_image'):
        real = getattr(verify, name)
        monkeypatch.setattr(verify, name, lambda path, real=real: (looked.append(path), real(path)))

    def count(how, process=True):
        looked.clear()
        if process:    # a new one
            verify.LOOKED.clear()
        datasets.load('folder', photos, on_bad_image=how)
        return len(looked)
    assert [count('error'), count('error'), count('skip'), count('skip'), count('error')] == [16, 0, 16, 0, 0]
    (photos / '.prepared' / 'readable.npz').unlink()
    assert count('error') == 16
    (photos / '.prepared' / 'readable.npz').unlink()
    assert count('error', process=False) == 0
    assert count('skip') == 16
    write(str(photos / 'b' / '0.png'), PHOTO[:30])
    os.utime(photos / 'c' / '0.png', ns=(1, 1))
    assert count('error') == 2
    (photos / '.prepared' / 'readable.npz').write_bytes(b'damaged')
    assert count('error') == 16
    (photos / '.prepared' / 'readable.npz').unlink()
    (photos / '.prepared').rmdir()
    photos.chmod(0o555)
    try:
        assert count('error') == 16 and not (photos / '.prepared').exists()
    finally:
        photos.chmod(0o755)


def test_a_quick_look_leaves_no_trace_in_the_folder(photos):
    datasets.load('folder', photos, on_bad_image='skip')
    assert not (photos / '.prepared').exists()
    assert len(datasets.load('folder', photos, on_bad_image=None).train) == 9     # no file is opened


def test_every_command_leaves_them_out(photos, tmp_path):
    from commands import cli
    words = [f'--data_dir={photos}', '--loss=triplet_semihard', '--backbone=convnet', '--pretrained=false',
             '--image_size=32', '--embed_dim=4', '--batch_size=6', '--num_instances=2', '--epochs=1', '--recallk=1',
             '--num_workers=0', '--transform=margin', f'--save_dir={tmp_path}/run']
    with pytest.raises(UserError, match='a/1.png'):
        cli.run(words)
    assert cli.run([*words, '--on_bad_image=skip', '--baselines', '--cache=store', f'--store_dir={tmp_path}/stores',
                    '--figures=false']) == 0
    run = tmp_path / 'run'
    assert len((run / 'unreadable.txt').read_text().splitlines()) == 2
    assert '"unreadable": 2' in (run / 'result.json').read_text()
    assert cli.run(['embed', f'--checkpoint={run}']) == 0
    with np.load(run / 'embeddings.npz') as file:
        assert len(file['embeddings']) == len(file['paths']) == 8
        assert not [path for path in file['paths'] if path.endswith('f/2.png')]
    assert cli.run(['evaluate', f'--checkpoint={run}', '--figures=false']) == 0
    assert (run / 'evaluation' / 'unreadable.txt').exists()
    damaged = photos / 'b' / '1.png'
    good = damaged.read_bytes()
    damaged.write_bytes(b'x')
    with pytest.raises(UserError, match='the run that is resumed: 8 images of 3 classes then, 7 images of 3'):
        cli.run([f'--resume={run}', '--epochs=2'])
    assert (run / 'last').exists() and (run / 'result.json').exists()
    damaged.write_bytes(good)
    assert cli.run([f'--resume={run}', '--epochs=2', '--figures=false']) == 0
