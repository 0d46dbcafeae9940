"""The share of a loss and its gradient in one training step: `scripts/benchmark.py step`.

network : forward and backward pass of the network on uint8 pictures, given the gradient of its embeddings
loss : mining, forward and backward from the embeddings on, hybridized, as in `benchmark.py losses`

Both in one process on all cores, taking turns; medians of single steps. A network batch that does not fit the memory
can be made smaller: its time is then scaled up to the batch of the loss.
"""

import argparse
import statistics
import time


def add_args(parser):
    """Flags of the step benchmark."""
    parser.add_argument('--loss', default='hphn_triplet')
    parser.add_argument('--loss_flags', default='--n_inner_pts=2', help='flags of the loss, in one word')
    parser.add_argument('--batch_size', type=int, default=128, help='rows of the loss')
    parser.add_argument('--num_instances', type=int, default=4, help='images of a class')
    parser.add_argument('--embed_dim', type=int, default=512)
    parser.add_argument('--backbone', default='googlenet')
    parser.add_argument('--image_size', type=int, default=227)
    parser.add_argument('--network_batch', type=int, default=0, help="pictures of the network's batch; 0: --batch_size")
    parser.add_argument('--rounds', type=int, default=5, help='steps of the network')
    parser.add_argument('--steps', type=int, default=20, help='steps of the loss after each of them')


def run(args):
    """Measure, print, return {'network': ms, 'loss': ms, 'share': loss / network}."""
    pictures = args.network_batch or args.batch_size
    network, loss = network_step(args, pictures), loss_step(args)
    seconds = {'network': [], 'loss': []}
    for turn in range(args.rounds + 1):
        once = [timed(network)], [timed(loss) for _ in range(args.steps)]
        if turn:      # the first turn warms up
            seconds['network'] += once[0]
            seconds['loss'] += once[1]
    ms = {key: 1000 * statistics.median(values) for key, values in seconds.items()}
    ms['network'] *= args.batch_size / pictures
    ms['share'] = ms['loss'] / ms['network']
    scaled = '' if pictures == args.batch_size else f', measured with {pictures} and scaled'
    print('{:<40}{:>10.1f} ms   {} pictures of {} px{}'.format(
        args.backbone + ' forward and backward', ms['network'], args.batch_size, args.image_size, scaled))
    print('{:<40}{:>10.1f} ms   ({}, {}) {}'.format(
        args.loss + ' forward and backward', ms['loss'], args.batch_size, args.embed_dim, args.loss_flags))
    print('{:<40}{:>10.2%}'.format('share of the loss', ms['share']))
    return ms


def timed(step):
    """Seconds of one call."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def network_step(args, pictures):
    """A function that runs the network forward and backward once."""
    import types

    import numpy as np

    import models
    from core.runtime import autograd, nd
    parser = argparse.ArgumentParser()
    models.add_args(parser)
    flags = parser.parse_args(['--backbone=' + args.backbone, f'--embed_dim={args.embed_dim}'])
    flags.image_size = args.image_size
    net = models.from_args(flags, types.SimpleNamespace(head='l2', feature=None))
    size = args.image_size
    image = nd.array(np.random.RandomState(0).randint(0, 256, (pictures, size, size, 3)), dtype='uint8')
    gradient = nd.random.normal(shape=(pictures, args.embed_dim))

    def step():
        with autograd.record():
            embedding = net(image).embedding
        embedding.backward(gradient)
        nd.waitall()
    return step


def loss_step(args):
    """A function that runs the loss forward and backward once."""
    from scripts.benchmarks import losses
    spec = vars(args)
    return losses.Ours(args.loss, args.loss_flags, losses.make_data(spec), spec).step
