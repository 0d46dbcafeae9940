"""GoogLeNet with the three 1x1 convolutions at the entry of an inception block as one: `scripts/benchmark.py merge`.

The three read the same map. As one convolution with the weights side by side the map is read once, and the backward
pass gives one gradient of it instead of a sum of three; the price is that the result is cut into three again. Both
networks hold the same weights in one process and take turns, so that what else the machine does meets both. Reported
are seconds and seconds of the process's CPU time a step (forward, backward, SGD), and how far the gradients differ
(by the rounding of the convolutions, which ReLUs and maxima turn into jumps).
"""

import os
import statistics
import time

STEPS = ('plain', 'merged')


def add_args(parser):
    """Flags of the benchmark."""
    parser.add_argument('--batch_size', type=int, default=32)
    parser.add_argument('--image_size', type=int, default=227)
    parser.add_argument('--rounds', type=int, default=10, help='steps of each network')
    parser.add_argument('--threads', type=int, default=0, help='0: one for each core this process may use')


def merged_block():
    """The class of an inception block (a HybridConcurrent) with its first convolutions as one."""
    from core.gluon_internals import children, options
    from core.runtime import gluon
    from models.fusion import fuse

    class Merged(gluon.HybridBlock):
        """Computes what `block` computes, from the same parameters."""

        def __init__(self, block, **kwargs):
            super().__init__(**kwargs)
            self.block, self.entering, self.sizes = block, [], []
            for i, (entry, *_) in enumerate(map(children, children(block))):
                if not isinstance(entry, gluon.nn.HybridSequential):    # the branch that begins with pooling
                    continue
                convolution = children(entry)[0]
                self.entering.append(i)
                assert options(convolution)['kernel'] == (1, 1) and options(convolution)['no_bias']
                self.sizes.append(options(convolution)['num_filter'])
                setattr(self, f'weight{i}', convolution.weight)
                fuse(entry, False)    # behind a slice the fused BatchNorm's gradient is wrong in MXNet 1.9.1

        def hybrid_forward(self, F, x, **weights):
            weight = F.concat(*[weights[f'weight{i}'] for i in self.entering], dim=0)
            whole = F.Convolution(x, weight, kernel=(1, 1), num_filter=sum(self.sizes), no_bias=True)
            found, begin = {}, 0
            for i, size in zip(self.entering, self.sizes):
                found[i] = F.slice(whole, begin=(None, begin, None, None), end=(None, begin + size, None, None))
                begin += size
            outs = []
            for i, branch in enumerate(map(children, children(self.block))):
                y = found.get(i, x)
                behind = children(branch[0])[1:] + branch[1:] if i in found else branch
                for layer in behind:
                    y = layer(y)
                outs.append(y)
            return F.concat(*outs, dim=1)
    return Merged


def merge(net):
    """Put merged blocks into the trunk of a network; returns how many."""
    from core.gluon_internals import named_children, replace_child
    from core.runtime import gluon
    kind, count = merged_block(), 0
    for name, block in named_children(net.trunk).items():
        if isinstance(block, gluon.contrib.nn.HybridConcurrent):
            replace_child(net.trunk, name, kind(block))
            count += 1
    net.hybridize(static_alloc=True)
    return count


def run(args):
    """Measure, print the table, return {network: {'cpu': [seconds], 'wall': [seconds]}}."""
    threads = args.threads or len(os.sched_getaffinity(0))
    os.environ['OMP_NUM_THREADS'] = str(threads)
    import numpy as np

    import models
    from core.gluon_internals import named_parameters
    from core.runtime import autograd, gluon, nd
    rng, size = np.random.RandomState(0), args.image_size
    image = nd.array(rng.randint(0, 256, (args.batch_size, size, size, 3)), dtype='uint8')
    target = nd.array(rng.randn(args.batch_size, 512))
    nets = {name: models.build('googlenet', embed_dim=512, image_size=size) for name in STEPS}
    source = named_parameters(nets['plain'])
    for name, parameter in named_parameters(nets['merged']).items():
        parameter.set_data(source[name].data())
    parameters = {name: named_parameters(net) for name, net in nets.items()}
    blocks = merge(nets['merged'])
    trainers = {name: gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': 1e-4, 'momentum': 0.9}, kvstore=None)
                for name, net in nets.items()}

    def step(name, update=True):
        with autograd.record():
            loss = ((nets[name](image).embedding - target) ** 2).sum()
        loss.backward()
        if update:
            trainers[name].step(args.batch_size)
        nd.waitall()

    for name in STEPS:
        step(name, update=False)
    pairs = [(p.grad(), parameters['merged'][key].grad()) for key, p in parameters['plain'].items()
             if p.grad_req != 'null']
    difference = (sum(float(((a - b) ** 2).sum().asscalar()) for a, b in pairs)
                  / sum(float((a ** 2).sum().asscalar()) for a, _ in pairs)) ** 0.5
    print(f'googlenet: {blocks} blocks merged, batch {args.batch_size}, {size} px, {threads} threads; gradients differ '
          f'by {difference:.1e} of their norm')
    print('{:<8}{:>10}{:>10}{:>10}{:>12}{:>12}'.format('', 'cpu min', 'median', 'max', 'wall min', 'median'))
    seconds = {name: {'cpu': [], 'wall': []} for name in STEPS}
    for turn in range(args.rounds):
        for name in STEPS[::-1] if turn % 2 else STEPS:
            cpu, wall = time.process_time(), time.perf_counter()
            step(name)
            seconds[name]['cpu'].append(time.process_time() - cpu)
            seconds[name]['wall'].append(time.perf_counter() - wall)
    for name, found in seconds.items():
        print('{:<8}{:>10.3f}{:>10.3f}{:>10.3f}{:>12.3f}{:>12.3f}'.format(
            name, min(found['cpu']), statistics.median(found['cpu']), max(found['cpu']), min(found['wall']),
            statistics.median(found['wall'])))
    plain, other = seconds['plain'], seconds['merged']
    print('merged / plain: cpu {:.3f} (minima), {:.3f} (medians); wall {:.3f}, {:.3f}'.format(
        *(f(other[key]) / f(plain[key]) for key in ('cpu', 'wall') for f in (min, statistics.median))))
    return seconds
