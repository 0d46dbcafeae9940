"""Damaged lists of every benchmark: each is read, or refused with a sentence that names a file, never a traceback."""

import os
import shutil

import numpy as np
import pytest

from core.errors import UserError
from datasets import benchmarks
from tests.datasets import fake_data
from tests.datasets.test_benchmarks import prepared

ROUNDS = int(os.environ.get('MUTATIONS', '6'))     # more of them by hand: MUTATIONS=500
WORDS = (b'', b'-1', b'nan', b'1e999', b'9' * 40, b'x', b'../../etc/passwd', b'/etc/passwd', b'\0', b'\xff',
         b'\xc2\xb2', b'0', b'1.5', b'"', b'{}', b'null', b'\r', b'\n\n', b'\xef\xbb\xbf')
TEXTS = sorted(set(fake_data.BUILDERS) - {'cars196', 'stanford_cars', 'flowers102', 'dogs', 'mnist'})


def mutate(data, rng):
    """The bytes of a list with a word replaced, a line lost, doubled or swapped, bytes flipped, or the end cut off."""
    kind = rng.randint(6)
    if kind == 0:
        return data[:rng.randint(len(data) + 1)]
    if kind == 1:
        damaged = bytearray(data)
        for at in rng.randint(len(data), size=rng.randint(1, 5)):
            damaged[at] = rng.randint(256)
        return bytes(damaged)
    lines = data.split(b'\n')
    k, other = rng.randint(len(lines), size=2)
    if kind == 2:
        del lines[k]
    elif kind == 3:
        lines[k], lines[other] = lines[other], lines[k]
    elif kind == 4:
        lines.insert(k, lines[other])
    else:
        words = lines[k].split(b' ')
        words[rng.randint(len(words))] = WORDS[rng.randint(len(WORDS))]
        lines[k] = b' '.join(words)
    return b'\n'.join(lines)


def read(fake, root):
    """Parse the first three protocols; a refusal must be a UserError on one line that names a file or the data set."""
    for name in list(fake.protocols)[:3]:
        try:
            benchmarks.to_data(fake, name, root, benchmarks.parse(fake, name, root))
        except UserError as error:
            text = str(error)
            assert text and '\n' not in text and '\0' not in text and (str(root) in text or name in text), text


@pytest.mark.parametrize('name', TEXTS)
def test_damaged_lists_are_read_or_named(published, tmp_path, name):
    root, rng = tmp_path / 'data', np.random.RandomState(0)
    fake = prepared(published, name, root)
    protocols = list(fake.protocols)[:3]
    lists = sorted({path for one in protocols for path in benchmarks.parse(fake, one, root).lists if path.is_file()})
    for path in lists:
        good = path.read_bytes()
        for _ in range(ROUNDS):
            path.write_bytes(mutate(good, rng))
            read(fake, root)
        path.write_bytes(good)


def test_damaged_digits_are_read_or_named(published, tmp_path):
    fake, rng = prepared(published, 'mnist', tmp_path / 'data'), np.random.RandomState(0)
    root = tmp_path / 'data'
    arrays = {}
    for half, images, labels in (('train', 'x_train', 'y_train'), ('t10k', 'x_test', 'y_test')):
        arrays[images], arrays[labels] = benchmarks.mnist.read_split(root, half)
    for path in (root / 't10k-images-idx3-ubyte.gz', root / 'mnist.npz'):
        if path.suffix == '.npz':
            np.savez(path, **arrays)
        good = path.read_bytes()
        for _ in range(3 * ROUNDS):
            path.write_bytes(mutate(good, rng))
            read(fake, root)
        path.write_bytes(good)


def test_an_npz_that_claims_terabytes_is_refused(published, tmp_path):
    prepared(published, 'mnist', tmp_path / 'data')
    path = tmp_path / 'data' / 'mnist.npz'
    np.savez(path, **{name: np.zeros((2, 28, 28) if name[0] == 'x' else 2, np.uint8)
                      for name in ('x_train', 'y_train', 'x_test', 'y_test')})
    path.write_bytes(path.read_bytes().replace(b'(2, 28, 28)', b'(9999999999'[:10] + b')'))
    with pytest.raises(UserError, match='mnist.npz is damaged'):
        benchmarks.parse(benchmarks.BENCHMARKS['mnist'], 'mnist', tmp_path / 'data')


@pytest.mark.parametrize('name, file', [('flowers102', 'setid.mat'), ('cars196', 'cars_annos.mat'),
                                        ('dogs', 'train_list.mat')])
def test_damaged_matlab_lists_are_read_or_named(published, tmp_path, name, file):
    fake, rng = prepared(published, name, tmp_path / 'data'), np.random.RandomState(1)
    path = next((tmp_path / 'data').rglob(file))
    good = path.read_bytes()
    for _ in range(max(1, ROUNDS // 6)):
        path.write_bytes(mutate(good, rng))
        read(fake, tmp_path / 'data')


def test_a_reader_that_crashes_takes_nothing_with_it(tmp_path, monkeypatch):
    script = tmp_path / 'crash.py'
    script.write_text('import os, signal; os.kill(os.getpid(), signal.SIGSEGV)')
    monkeypatch.setattr(benchmarks.lists, 'READER', script)
    shutil.copy(script, tmp_path / 'a.mat')
    with pytest.raises(UserError, match='a.mat is damaged: the reader ended with status -11'):
        benchmarks.lists.load_mat(tmp_path / 'a.mat')
