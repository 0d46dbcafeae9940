"""The search: engines, back-ends and the service: `scripts/benchmark.py serve`.

Parts, each of which can be asked for alone by --part:

engines    images a second that each engine embeds offline, of mobilenet0.5, efficientnet_lite0 and resnet50_v2
backends   build time, size, queries a second and recall@10 of Flat, IVF-PQ, HNSW and Milvus Lite
service    throughput and latency of single-image search under 1, 8 and 64 clients, batching on and off; start-up time
           and memory. Clients are threads of another process on this machine; every address is a loopback address

Vectors are synthetic: clusters on the sphere. Measure with nothing else running.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from core.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = ('engines', 'backends', 'service')


def add_args(parser):
    """Flags of the search benchmark."""
    parser.add_argument('--part', choices=PARTS, action='append', help='may be repeated; default: all')
    parser.add_argument('--sizes', default='100000x512,1000000x128', metavar='NxD,...', help='of the back-ends')
    parser.add_argument('--backends', default='flat,ivfpq,hnsw,milvus,milvus-hnsw', metavar='NAME,...')
    parser.add_argument('--recall', type=float, default=0.95, help='recall@10 that inexact back-ends are tuned to')
    parser.add_argument('--queries', type=int, default=1000)
    parser.add_argument('--images', type=int, default=100000, help='in the index of the service')
    parser.add_argument('--clients', default='1,8,64', metavar='N,...')
    parser.add_argument('--requests', type=int, default=400, help='of all clients of one measurement together')
    parser.add_argument('--backbones', default='mobilenet0.5,efficientnet_lite0,resnet50_v2', metavar='NAME,...')
    parser.add_argument('--pictures', type=int, default=128, help='that an engine embeds')
    parser.add_argument('--image_size', type=int, default=224)
    parser.add_argument('--untrained', action='store_true', help='random weights, where none can be had')
    parser.add_argument('--client', default='', help=argparse.SUPPRESS)


def vectors_of(n, dim, seed=0):
    """float32 (n, dim) of length one: clusters of about fifty."""
    rng = np.random.RandomState(seed)
    out = np.empty((n, dim), np.float32)
    centers = rng.standard_normal((max(1, n // 50), dim)).astype(np.float32)
    for start in range(0, n, 65536):
        stop = min(n, start + 65536)
        part = centers[rng.randint(len(centers), size=stop - start)]
        part = part + 0.7 * rng.standard_normal((stop - start, dim)).astype(np.float32)
        out[start:stop] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return out


def run(args):
    """Measure what is asked for, print it, return {part: list of dicts}."""
    if args.client:
        return client(json.loads(args.client))
    parts = {'engines': engines, 'backends': backends, 'service': service}
    return {name: parts[name](args) for name in args.part or PARTS}


# ---- engines

def engines(args):
    """Images a second of every engine that is installed."""
    import models
    from serving import engines as available
    pictures = list(np.random.RandomState(0).randint(0, 256, (args.pictures, args.image_size, args.image_size, 3)
                                                     ).astype(np.uint8))
    print(f'{"network":<22}{"engine":<26}{"images/s":>10}')
    rows = []
    for backbone in args.backbones.split(','):
        net = models.build(backbone, head='pooled', image_size=args.image_size, transform='margin',
                           pretrained=not args.untrained)
        network = available.MXNet(net)
        file, candidates = available.exported(network), [network]
        if file is not None:
            for name, precision in (('onnxruntime', 'float32'), ('openvino', 'float32'), ('openvino', 'bfloat16')):
                try:
                    candidates.append(available.open_engine(file, name, precision=precision))
                except UserError:
                    continue
        for engine in candidates:
            engine.embed(pictures[:8])
            start = time.perf_counter()
            engine.embed(pictures)
            rate = len(pictures) / (time.perf_counter() - start)
            rows.append({'network': backbone, 'engine': f'{engine.name} {engine.precision}', 'rate': rate})
            print(f'{backbone:<22}{rows[-1]["engine"]:<26}{rate:>10.1f}', flush=True)
    return rows


# ---- back-ends

def backends(args):
    """Build time, size, queries a second and recall@10."""
    print(f'\n{"vectors":<16}{"back-end":<13}{"build s":>9}{"MB":>9}{"queries/s, one":>16}{"a batch":>10}'
          f'{"recall@10":>11}')
    rows = []
    for size in args.sizes.split(','):
        n, dim = (int(word) for word in size.split('x'))
        data, queries = vectors_of(n, dim), vectors_of(args.queries, dim, seed=1)
        queries = (queries + 2 * data[np.random.RandomState(2).choice(n, args.queries)]) / 3       # near what is there
        exact = None
        for name in args.backends.split(','):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    row = measure(name, data, queries, exact, args.recall, pathlib.Path(folder))
                except UserError as error:
                    print(f'{size:<16}{name:<13} left out: {error}')
                    continue
            exact = row.pop('found') if exact is None and name == 'flat' else exact
            row.pop('found', None)
            rows.append(dict(row, vectors=size, backend=name))
            print(f'{size:<16}{name:<13}{row["build"]:>9.1f}{row["size"]:>9.1f}{row["one"]:>16.1f}{row["batch"]:>10.1f}'
                  f'{row["recall"]:>11.3f}', flush=True)
    return rows


def measure(name, data, queries, exact, wanted, folder):
    """One back-end: {'build': s, 'size': MB on the disk, 'one': queries/s, 'batch': queries/s, 'recall', 'found'}."""
    from serving.local import LocalIndex
    from serving.milvus import MilvusIndex
    from serving.store import File
    about = {'dim': data.shape[1], 'model': 'synthetic', 'root': '/'}
    milvus, _, kind = name.partition('-')
    if milvus == 'milvus':
        index = MilvusIndex(folder / 'x.db', write=True, about=about, backend=kind or 'flat')
    else:
        index = LocalIndex(folder / 'x', write=True, about=about, backend=name, recall=wanted, tell=lambda text: None)
    start = time.perf_counter()
    for first in range(0, len(data), 10000):
        part = data[first:first + 10000]
        index.add([File(f'{first + k}', '', 1, 1) for k in range(len(part))], part)
    index.prepare()
    row = {'build': time.perf_counter() - start,
           'size': sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6}
    start = time.perf_counter()
    few = queries[:max(1, len(queries) // 10)]
    for query in few:
        index.search(query[None], 10)
    row['one'] = len(few) / (time.perf_counter() - start)
    start = time.perf_counter()
    ids = np.concatenate([index.search(queries[first:first + 100], 10)[0] for first in range(0, len(queries), 100)])
    row['batch'] = len(queries) / (time.perf_counter() - start)
    paths = {image.id: int(image.path) for image in index.images(np.unique(ids)).values()}
    row['found'] = found = np.vectorize(paths.get)(ids)
    reference = found if exact is None else exact
    row['recall'] = float(np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(found, reference)]))
    index.close()
    return row


# ---- service

def service(args):
    """Throughput and latency under clients, start-up and memory."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        net, index = make_index(args, folder)
        print(f'\nservice over {args.images:,} vectors, {args.backbones.split(",")[0]} at {args.image_size} px')
        print(f'{"batching":<10}{"clients":>8}{"requests/s":>12}{"p50 ms":>9}{"p95 ms":>9}{"p99 ms":>9}{"busy":>7}')
        for batching in ('on', 'off'):
            start = time.perf_counter()
            process, url = start_service(index, net, batching)
            started = time.perf_counter() - start
            try:
                for clients in map(int, args.clients.split(',')):
                    row = ask(url, clients, args.requests, folder / 'query.jpg')
                    row.update(batching=batching, clients=clients)
                    rows.append(row)
                    print('{batching:<10}{clients:>8}{rate:>12.1f}{p50:>9.1f}{p95:>9.1f}{p99:>9.1f}{busy:>7}'.format(
                        **row), flush=True)
                status = pathlib.Path(f'/proc/{process.pid}/status').read_text()
                memory = int(re.search(r'VmHWM:\s+(\d+)', status).group(1)) / 1024
                print(f'started in {started:.1f} s, peak memory {memory:.0f} MB', flush=True)
                rows[-1].update(started=started, memory=memory)
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=120)
    return rows


def make_index(args, folder):
    """(network file or None, index) with synthetic vectors of the dimension of a real network."""
    from PIL import Image

    import models
    from serving.encoder import Encoder
    from serving.engines import MXNet
    from serving.local import LocalIndex
    from serving.store import File
    net = models.build(args.backbones.split(',')[0], head='pooled', image_size=args.image_size, transform='margin',
                       pretrained=not args.untrained)
    file = folder / 'net.params'
    net.save(file)
    encoder = Encoder(MXNet(net))
    index = LocalIndex(folder / 'x', write=True, about={
        'dim': encoder.dim, 'model': encoder.model, 'root': str(folder),
        'source': {'checkpoint': str(file), 'which': 'last'}})
    data = vectors_of(args.images, encoder.dim)
    for first in range(0, len(data), 10000):
        part = data[first:first + 10000]
        index.add([File(f'{first + k}', f'label{k % 10}', 1, 1) for k in range(len(part))], part)
    index.close()
    picture = np.random.RandomState(0).randint(0, 256, (24, 32, 3)).astype(np.uint8)
    Image.fromarray(picture).resize((640, 480), Image.Resampling.BICUBIC).save(folder / 'query.jpg', quality=90)
    return file, folder / 'x'


def start_service(index, net, batching):
    """(process, url) of a service that answers."""
    words = [sys.executable, 'main.py', 'serve', f'--index={index}', '--port=0', '--engine=mxnet', '--queue=256']
    process = subprocess.Popen([*words, *(['--max_batch=1'] if batching == 'off' else [])], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE)
    for line in process.stdout:
        found = re.search(r'page: (http://\S+)', line)
        if found:
            return process, found.group(1)
    raise UserError('the service did not start: see its message above')


def ask(url, clients, requests, picture):
    """{'rate', 'p50', 'p95', 'p99' in ms, 'busy': answers 503} of a process of clients."""
    words = {'url': url, 'clients': clients, 'requests': requests, 'picture': str(picture)}
    done = subprocess.run([sys.executable, 'scripts/benchmark.py', 'serve', '--client', json.dumps(words)], cwd=ROOT,
                          text=True, capture_output=True, check=True, env=dict(os.environ, OMP_NUM_THREADS='1'))
    return json.loads(done.stdout.splitlines()[-1])


def client(words):
    """Threads that ask, each as soon as it has its answer; prints the times as JSON."""
    import concurrent.futures

    import requests
    data, url = pathlib.Path(words['picture']).read_bytes(), words['url'] + '/search?k=10'

    def thread(count):
        session, times, busy = requests.Session(), [], 0
        for _ in range(count):
            start = time.perf_counter()
            answer = session.post(url, data=data, timeout=120)
            times.append(time.perf_counter() - start)
            busy += answer.status_code == 503
            if answer.status_code not in (200, 503):
                raise UserError(f'the service answered {answer.status_code}: {answer.text[:200]}')
        return times, busy

    each = max(1, words['requests'] // words['clients'])
    thread(min(each, 8))
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(words['clients']) as pool:
        done = list(pool.map(thread, [each] * words['clients']))
    seconds = time.perf_counter() - start
    times = 1000 * np.concatenate([times for times, _ in done])
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    print(json.dumps({'rate': len(times) / seconds, 'p50': p50, 'p95': p95, 'p99': p99,
                      'busy': sum(busy for _, busy in done)}))
