"""Memory of a training step with and without --grad_chunk: `scripts/benchmark.py chunks`.

Each case is a process of its own, which takes one step (network, loss, gradient) and says the most memory it held.
"""

import argparse
import multiprocessing
import resource
import time
import types


def add_args(parser):
    """Flags of the memory benchmark."""
    parser.add_argument('--backbone', default='googlenet')
    parser.add_argument('--image_size', type=int, default=227)
    parser.add_argument('--batch_size', type=int, default=128)
    parser.add_argument('--num_instances', type=int, default=32, help='images of a class')
    parser.add_argument('--embed_dim', type=int, default=512)
    parser.add_argument('--grad_chunk', default='0,32,8', help='images at a time, comma separated; 0: the whole batch')


def run(args):
    """Measure, print, return {images at a time: (bytes, seconds)}."""
    found = {}
    print(f'{args.backbone}, batch {args.batch_size} x {args.image_size} px, hphn_triplet with expansion')
    print(f'{"images at a time":<20}{"memory MB":>12}{"of it for the step":>20}{"seconds":>10}')
    for size in map(int, args.grad_chunk.split(',')):
        with multiprocessing.get_context('spawn').Pool(1) as pool:
            before, after, seconds = pool.apply(step, (vars(args), size))
        found[size] = after, seconds
        print(f'{size or args.batch_size:<20}{after / 1e6:>12.0f}{(after - before) / 1e6:>20.0f}{seconds:>10.1f}',
              flush=True)
    return found


def peak():
    """The most memory that this process has held, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def step(values, size):
    """(bytes before, most bytes, seconds) of one step on `size` images at a time."""
    import numpy as np

    import models
    from core.contracts import Batch
    from core.runtime import autograd, nd
    from engine.chunks import Chunks
    from losses.hphn_triplet import HPHNTriplet
    args = types.SimpleNamespace(**values)
    parser = argparse.ArgumentParser()
    models.add_args(parser)
    flags = parser.parse_args([f'--backbone={args.backbone}', f'--embed_dim={args.embed_dim}', '--freeze_bn'])
    flags.image_size = args.image_size
    net = models.from_args(flags, types.SimpleNamespace(head='l2', feature=None))
    for parameter in net.collect_params().values():
        if parameter.grad_req == 'write':
            parameter.grad_req = 'add'
    criterion = HPHNTriplet()
    criterion.initialize()
    image = np.random.RandomState(0).randint(0, 256, (args.batch_size, args.image_size, args.image_size, 3), np.uint8)
    label = nd.array(np.arange(args.batch_size) // args.num_instances, dtype='int32')
    before, started = peak(), time.perf_counter()

    def forward(part):
        return net(nd.array(part, dtype='uint8'))
    chunks = Chunks(forward, size)
    leaves = chunks.embed(image, 0) if size else None
    with autograd.record():
        loss = criterion(leaves or forward(image), Batch(None, label, None, None))
    loss.backward()
    if size:
        chunks.backward(image, 0, leaves)
    nd.waitall()
    return before, peak(), time.perf_counter() - started
