"""Images per second of whole training steps, beside the same networks in PyTorch: `scripts/benchmark.py train`.

mxnet   : our EmbeddingNet (preprocessing of uint8 pictures, trunk, pooling, Dense, L2) and a scaled softmax over
          classes: forward, backward, SGD with momentum; one batch that stays in memory
jpeg    : the same step on pictures that our loader reads from files meanwhile, and the share of time spent waiting
store   : the same from the memory-mapped uint8 store
pytorch : pytorch.py, the same network, loss and optimizer in float32; one batch that stays in memory

Every measurement is a process of its own on all cores; the ways take turns, and the median of the rounds is reported.
PyTorch is needed for this comparison only: --torch_python names a Python that has it.
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
NETWORKS = ('googlenet', 'resnet50_v1', 'mobilenet0.5')
WAYS = ('mxnet', 'jpeg', 'store', 'pytorch')
EMBED_DIM, CLASSES = 512, 98


def add_args(parser):
    """Flags of the training benchmark."""
    parser.add_argument('--networks', default=','.join(NETWORKS), help='backbones, of ' + ', '.join(NETWORKS))
    parser.add_argument('--ways', default=','.join(WAYS), help='what to measure, of ' + ', '.join(WAYS))
    parser.add_argument('--batch_size', type=int, default=32)
    parser.add_argument('--image_size', type=int, default=224)
    parser.add_argument('--steps', type=int, default=10, help='timed steps of one measurement')
    parser.add_argument('--warmup', type=int, default=3, help='steps before them')
    parser.add_argument('--rounds', type=int, default=3, help='measurements of each way')
    parser.add_argument('--threads', type=int, default=0, help='0: one for each core this process may use')
    parser.add_argument('--torch_python', default=sys.executable, help='a Python with torch')
    parser.add_argument('--torch_layout', choices=('channels_last', 'contiguous'), default='channels_last')
    parser.add_argument('--data_name', default='', help='data set of the ways jpeg and store; empty: folder if '
                                                        '--data_dir is given, else glyphs')
    parser.add_argument('--data_dir', default='', help='its folder')
    parser.add_argument('--store_dir', default='', help='where the store is built; empty: a temporary folder')


def run(args):
    """Measure, print a table for each network, return {(network, way): images per second}."""
    from core.errors import pick
    args.threads = args.threads or len(os.sched_getaffinity(0))
    ways = [pick('--ways', way, {name: name for name in WAYS}) for way in args.ways.split(',')]
    networks = [pick('--networks', network, {name: name for name in NETWORKS}) for network in args.networks.split(',')]
    if 'pytorch' in ways and subprocess.run([args.torch_python, '-c', 'import torch'], capture_output=True).returncode:
        print(f'pytorch is left out: {args.torch_python} has no torch. Fix: --torch_python=PYTHON')
        ways.remove('pytorch')
    medians = {}
    with tempfile.TemporaryDirectory() as scratch:
        args.store_dir = args.store_dir or scratch
        for network in networks:
            results = {way: [] for way in ways}
            for _ in range(args.rounds):
                for way in ways:
                    results[way].append(child(args, network, way))
            medians.update(print_table(args, network, results))
    return medians


def print_table(args, network, results):
    """Print one network's table and return {(network, way): median images per second}."""
    rates = {way: [args.batch_size / statistics.median(r['seconds']) for r in rounds]
             for way, rounds in results.items()}
    medians = {way: statistics.median(values) for way, values in rates.items()}
    print('\n{}: batch {}, {} px, {} threads, {:,} trunk parameters'.format(
        network, args.batch_size, args.image_size, args.threads, next(iter(results.values()))[0]['parameters']))
    print('{:<9}{:>10}{:>12}{:>9}   all rounds'.format('way', 'images/s', 'x pytorch', 'waiting'))
    for way, values in rates.items():
        waits = [r['wait'] / sum(r['seconds']) for r in results[way] if 'wait' in r]
        print('{:<9}{:>10.1f}{:>12}{:>9}   {}'.format(
            way, medians[way], '{:.2f}'.format(medians[way] / medians['pytorch']) if 'pytorch' in medians else '',
            f'{statistics.median(waits):.1%}' if waits else '', ' '.join(f'{v:.1f}' for v in values)))
    return {(network, way): value for way, value in medians.items()}


def child(args, network, way):
    """The result of one measurement: seconds of each step, seconds of them spent waiting, trunk parameters."""
    spec = {'network': network, 'way': way, 'embed_dim': EMBED_DIM, 'classes': CLASSES,
            'channels_last': args.torch_layout == 'channels_last'}
    spec.update({key: getattr(args, key) for key in ('batch_size', 'image_size', 'steps', 'warmup', 'threads',
                                                     'data_name', 'data_dir', 'store_dir')})
    python, script = (args.torch_python, 'pytorch') if way == 'pytorch' else (sys.executable, 'train')
    done = subprocess.run([python, '-m', 'scripts.benchmarks.' + script, json.dumps(spec)], cwd=ROOT, text=True,
                          check=True, stdout=subprocess.PIPE, env=dict(os.environ, OMP_NUM_THREADS=str(args.threads)))
    return json.loads(done.stdout.splitlines()[-1])


def measure(spec):
    """Train in this process and print the result as one line of JSON."""
    import types

    import numpy as np

    import models
    from core.runtime import autograd, gluon, nd
    parser = argparse.ArgumentParser()
    models.add_args(parser)
    args = parser.parse_args(['--backbone=' + spec['network'], '--embed_dim={}'.format(spec['embed_dim'])])
    args.image_size = spec['image_size']
    net = models.from_args(args, types.SimpleNamespace(head='l2', feature=None))
    classes = gluon.nn.Dense(spec['classes'], use_bias=False, in_units=spec['embed_dim'])
    classes.initialize()
    classes.hybridize(static_alloc=True)
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    cross_entropy.hybridize()
    params = gluon.ParameterDict()
    params.update(net.collect_params())
    params.update(classes.collect_params())
    trainer = gluon.Trainer(params, 'sgd', {'learning_rate': 0.01, 'momentum': 0.9, 'wd': 1e-4}, kvstore=None)
    batches, loader = source(spec)
    seconds, waited = [], 0.0
    for step in range(spec['warmup'] + spec['steps']):
        if step == spec['warmup'] and loader is not None:
            waited = loader.wait_seconds
        started = time.perf_counter()
        image, label = next(batches)
        with autograd.record():
            loss = cross_entropy(classes(net(nd.array(image, dtype='uint8')).embedding) * 16, nd.array(label))
        loss.backward()
        trainer.step(len(image))
        nd.waitall()
        seconds.append(time.perf_counter() - started)
    result = {'seconds': seconds[spec['warmup']:],
              'parameters': sum(int(np.prod(p.shape)) for p in net.trunk.collect_params().values()
                                if p.grad_req != 'null')}
    if loader is not None:
        result['wait'] = loader.wait_seconds - waited
    print(json.dumps(result))


def source(spec):
    """(iterator of (image, label), loader or None) of the way."""
    import numpy as np
    rng, n, size = np.random.RandomState(0), spec['batch_size'], spec['image_size']
    if spec['way'] == 'mxnet':
        batch = rng.randint(0, 256, (n, size, size, 3)).astype('uint8'), rng.randint(0, spec['classes'], n)
        return iter(lambda: batch, None), None
    from core.contracts import Plan
    from datasets.loader import Loader
    from datasets.transforms import get_transform
    from scripts.benchmarks.loader import training_part
    split = training_part(argparse.Namespace(images=1024, **{key: spec[key] for key in (
        'data_name', 'data_dir', 'image_size', 'store_dir')}), spec['way'])
    loader = Loader(split, get_transform('embedding_expansion', True, size))
    plans = (Plan(rng.randint(len(split), size=n), rng.randint(2 ** 32, size=n, dtype=np.uint32), None)
             for _ in range(spec['warmup'] + spec['steps'] + 4))
    return ((batch.image, batch.label % spec['classes']) for batch in loader(plans)), loader


if __name__ == '__main__':
    measure(json.loads(sys.argv[1]))
