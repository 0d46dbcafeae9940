"""MNIST (LeCun et al. 1998): 28 x 28 digits, from the four idx files (gzipped or plain) or from an npz."""

import gzip
import math
import zipfile
import zlib

import numpy as np

from core.errors import UserError
from core.text import printable
from datasets.benchmarks.base import Archive, Benchmark, Parsed, Part, counts
from datasets.benchmarks.lists import Missing, find

HELD_ASIDE = 5000    # the original sets the first 5,000 training digits aside as a validation part that nothing reads


def read_idx(path, dimensions):
    """uint8 array of an idx file; UserError when it is cut off or of another kind."""
    opener = gzip.open if path.suffix == '.gz' else open
    try:
        with opener(path, 'rb') as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f'{printable(path)} is damaged: {error}. Fix: remove it and prepare again') from error
    head = 4 + 4 * dimensions
    if len(data) < head or data[:4] != bytes([0, 0, 8, dimensions]):
        raise UserError(f'{path} is not an idx file of uint8 with {dimensions} dimensions')
    shape = tuple(int(n) for n in np.frombuffer(data, '>i4', dimensions, 4))
    if min(shape) < 0 or len(data) - head != math.prod(shape):
        raise UserError(f'{path} is cut off: its header promises {math.prod(shape):,} bytes, {len(data) - head:,} '
                        'are there')
    return np.frombuffer(data, np.uint8, -1, head).reshape(shape)


def read_split(root, split):
    paths = [find(root, *[f'{split}-{what}{mark}{kind}-ubyte{end}' for mark in '-.' for end in ('.gz', '')])
             for what, kind in (('images', 'idx3'), ('labels', 'idx1'))]
    images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if len(images) != len(labels):
        raise UserError(f'{paths[0]} has {len(images)} images, {paths[1]} has {len(labels)} labels')
    return images, labels


def read_npz(path, images, labels):
    """(images, labels) of an npz, or None when it has other keys."""
    try:
        with zipfile.ZipFile(path) as archive:
            if not {images + '.npy', labels + '.npy'} <= set(archive.namelist()):
                return None
            digits, classes = (member(archive, name + '.npy') for name in (images, labels))
    except (OSError, ValueError, EOFError, KeyError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(f'{printable(path)} is damaged: {printable(error)}') from error
    whole = classes.dtype.kind in 'iu' and classes.shape == digits.shape[:1]
    if digits.dtype != np.uint8 or digits.ndim != 3 or not whole:
        raise UserError(f'{printable(path)}: {images} must be uint8 (N, 28, 28) beside N whole numbers {labels}, found '
                        f'{digits.dtype} {digits.shape} and {classes.dtype} {classes.shape}')
    return digits, classes


def member(archive, name):
    """An array of an npz; ValueError when its header claims another size than the file has."""
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f'{name} is of version {version}')
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or fortran or file.tell() + size != archive.getinfo(name).file_size:
            raise ValueError(f'{name} claims {shape} {dtype}, which is not what it holds')
        return np.frombuffer(file.read(size), dtype).reshape(shape)


def part(images, labels, rows=slice(None)):
    images, labels = images[rows], np.asarray(labels[rows], dtype=np.int64)
    return Part([''] * len(labels), labels, {digit: str(digit) for digit in range(10)}, images=images)


def read(root, name):
    """mnist: 55,000 / 10,000 (the first 5,000 training digits are left out, as in the original).

    mnist_t10k: the 10,000 test digits alone (mnist_t10k.npz or the t10k files); every fifth digit tests, the others
    train. It is a split of our own for places that have no training files, comparable with nothing published.
    """
    if name == 'mnist_t10k':
        found = read_npz(root / 'mnist_t10k.npz', 'images', 'labels') if (root / 'mnist_t10k.npz').exists() else None
        images, labels = found or read_split(root, 't10k')
        tests = np.arange(len(labels)) % 5 == 4
        return Parsed(part(images, labels, ~tests), part(images, labels, tests), notes=[
            'mnist_t10k is the MNIST test set cut in two: not comparable with published figures'])
    if (root / 'mnist.npz').exists():
        train = read_npz(root / 'mnist.npz', 'x_train', 'y_train')
        test = read_npz(root / 'mnist.npz', 'x_test', 'y_test')
        if train is None or test is None:
            raise UserError(f'{root / "mnist.npz"}: the keys must be x_train, y_train, x_test, y_test')
    else:
        try:
            train, test = read_split(root, 'train'), read_split(root, 't10k')
        except Missing as error:
            if (root / 'mnist_t10k.npz').exists():
                raise Missing(f'{error}; it has the test digits alone: use --data_name=mnist_t10k') from error
            raise
    held = HELD_ASIDE if len(train[1]) > 2 * HELD_ASIDE else 0
    return Parsed(part(*train, rows=slice(held, None)), part(*test))


def idx(name, md5):
    return Archive(name, ('https://ossci-datasets.s3.amazonaws.com/mnist/' + name,
                          'http://yann.lecun.com/exdb/mnist/' + name), ('md5:' + md5,), unpack=False)


TEST = (idx('t10k-images-idx3-ubyte.gz', '9fb629c4189551a2d022fa330f9573f3'),
        idx('t10k-labels-idx1-ubyte.gz', 'ec29112dd5afa0611ce80d1b7f02629c'))

BENCHMARK = Benchmark(
    title='MNIST',
    protocols={'mnist': 'classification'},
    read=read,
    sources=((idx('train-images-idx3-ubyte.gz', 'f68b3c2dcbeaaa9fbdd348bbdeb94873'),
              idx('train-labels-idx1-ubyte.gz', 'd53e105ee54ea40749a09fcbcd1e9432')) + TEST,
             (Archive('mnist.npz', unpack=False),)),
    counts=counts('mnist', 'Heated-Up Softmax code: 60,000 less the 5,000 set aside', 'recalled',
                  train={'images': 55000}) +
    counts('mnist', 'Heated-Up Softmax paper', train={'classes': 10}, test={'images': 10000, 'classes': 10}),
    manual='The four idx files, gzipped or plain, or mnist.npz with x_train, y_train, x_test, y_test.',
)

BENCHMARK_T10K = Benchmark(
    title='MNIST test digits',
    protocols={'mnist_t10k': 'classification'},
    read=read,
    sources=(TEST, (Archive('mnist_t10k.npz', unpack=False),)),
    counts=counts('mnist_t10k', 'size of the MNIST test set', train={'images': 8000, 'classes': 10},
                  test={'images': 2000, 'classes': 10}),
    manual='t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz, or mnist_t10k.npz with images and labels.',
)
