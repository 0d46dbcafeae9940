"""Images per second of three ways to feed Embedding Expansion's training pictures: `scripts/benchmark.py loader`.

gluon : mxnet.gluon.data.DataLoader, decoding and augmenting through MXNet as the original code does, float32 NCHW out
jpeg  : datasets.loader.Loader on the same files, uint8 NHWC out (the network normalises on the device)
store : the same loader on the memory-mapped uint8 store

Every measurement is a process of its own, bound to as many cores as it is measured for; the ways take turns, and the
median of the rounds is reported. Files and store are in the page cache (a first, untimed pass sees to that).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAYS = ('gluon', 'jpeg', 'store')


def add_args(parser):
    """Flags of the loader benchmark."""
    parser.add_argument('--data_name', default='', help='data set to read; empty: folder if --data_dir is given')
    parser.add_argument('--data_dir', default='', help='its folder')
    parser.add_argument('--images', type=int, default=1024,
                        help='images in a pass, the first ones of the training part')
    parser.add_argument('--batch_size', type=int, default=128)
    parser.add_argument('--image_size', type=int, default=227)
    parser.add_argument('--seconds', type=float, default=5.0, help='least time of one measurement')
    parser.add_argument('--rounds', type=int, default=3, help='measurements of each way')
    parser.add_argument('--cores', default='1', help='numbers of cores, such as 1,2; beyond 1 each way gets workers')
    parser.add_argument('--store_dir', default='', help='where the store is built; empty: a temporary folder')


def run(args):
    """Measure, print a table, return {(cores, way): images per second}."""
    medians = {}
    with tempfile.TemporaryDirectory() as scratch:
        args.store_dir = args.store_dir or scratch
        for cores in [int(text) for text in str(args.cores).split(',')]:
            if cores > len(os.sched_getaffinity(0)):
                print(f'{cores} cores were asked for, {len(os.sched_getaffinity(0))} may be used')
                continue
            rates = {way: [] for way in WAYS}
            for _ in range(args.rounds):
                for way in WAYS:
                    rates[way].append(child(args, way, cores))
            medians.update({(cores, way): statistics.median(values) for way, values in rates.items()})
            print_table(cores, rates)
    return medians


def print_table(cores, rates):
    base = statistics.median(rates['gluon'])
    print('\n{:<8}{:>12}{:>14}{:>8}   all rounds'.format('way', 'images/s', 'per core', 'ratio'))
    for way, values in rates.items():
        middle = statistics.median(values)
        print('{:<8}{:>12,.0f}{:>14,.0f}{:>7.1f}x   {}'.format(
            way, middle, middle / cores, middle / base, ' '.join(f'{value:,.0f}' for value in values)))


def child(args, way, cores):
    """Images per second of one measurement in a process bound to `cores` cores."""
    words = [sys.executable, '-m', 'scripts.benchmarks.loader', '--way=' + way]
    words += [f'--{key}={getattr(args, key)}' for key in (
        'data_name', 'data_dir', 'images', 'batch_size', 'image_size', 'seconds', 'store_dir')]
    words += [f'--cores={cores}']
    done = subprocess.run(words, stdout=subprocess.PIPE, cwd=ROOT, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(args):
    """Images per second, in this process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(args.cores)])
    os.environ['OMP_NUM_THREADS'] = args.cores
    import cv2
    cv2.setNumThreads(0)
    passes = {'gluon': gluon_pass, 'jpeg': our_pass, 'store': our_pass}[args.way](args)
    next(passes)
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < args.seconds:
        count += next(passes)
    return count / (time.perf_counter() - started)


def training_part(args, cache):
    """The first images of the training part as a Split."""
    import datasets
    data = datasets.load(args.data_name or ('folder' if args.data_dir else 'glyphs'), args.data_dir or None)
    part = data._replace(train=data.train.subset(range(min(args.images, len(data.train)))), test=None, val=None)
    if cache == 'store':
        from datasets import store
        store.attach(part, 'embedding_expansion', args.image_size, folder=args.store_dir or None,
                     log=lambda text: print(text, file=sys.stderr))
    return part.train


def our_pass(args):
    """Yields the number of images of each pass over the data through our loader."""
    import numpy as np

    from core.contracts import Plan
    from datasets.loader import Loader
    from datasets.transforms import get_transform
    split = training_part(args, 'store' if args.way == 'store' else 'jpeg')
    workers = 0 if args.cores == '1' else int(args.cores)
    loader = Loader(split, get_transform('embedding_expansion', True, args.image_size), workers)
    rng = np.random.RandomState(0)
    while True:
        order = rng.permutation(len(split))
        plans = [Plan(rows, rng.randint(2 ** 32, size=len(rows), dtype=np.uint32), None)
                 for rows in np.split(order, range(args.batch_size, len(order), args.batch_size))]
        yield sum(len(batch.image) for batch in loader(plans))


def gluon_pass(args):
    """The same through Gluon's own loader and MXNet's image operators."""
    import numpy as np

    from core.runtime import gluon, mx
    split = training_part(args, 'jpeg')
    size, large = args.image_size, int(round(1.125 * args.image_size))
    finish = gluon.data.vision.transforms.Compose([
        gluon.data.vision.transforms.ToTensor(),
        gluon.data.vision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])

    class Photos(gluon.data.Dataset):
        def __len__(self):
            return len(split)

        def __getitem__(self, row):
            if split.reader is None:
                with open(split.path(row), 'rb') as file:
                    image = mx.image.imdecode(file.read())
            else:
                image = mx.nd.array(split.read(row), dtype='uint8')
            if np.random.uniform() < 0.5:
                image = mx.image.imresize(image, size, size)
            else:
                image = mx.image.imresize(image, large, large)
                left, top = (int(round(np.random.uniform(0, large - size))) for _ in range(2))
                image = mx.image.fixed_crop(image, left, top, size, size)
            if np.random.uniform() < 0.5:
                image = mx.nd.flip(image, axis=1)
            return finish(image), int(split.labels[row])

    workers = 0 if args.cores == '1' else int(args.cores)
    loader = gluon.data.DataLoader(Photos(), args.batch_size, shuffle=True, num_workers=workers)
    while True:
        count = 0
        for image, _ in loader:
            image.wait_to_read()
            count += len(image)
        yield count


if __name__ == '__main__':
    main_parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_args(main_parser)
    main_parser.add_argument('--way', choices=WAYS, default=None, help='measure this way in this process')
    flags = main_parser.parse_args()
    if flags.way:
        print(json.dumps(measure(flags)))
    else:
        run(flags)
