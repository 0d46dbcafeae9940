"""Faults of the search, as a user meets them, with figures: kill -9, two writers, damage, a full disk, bad uploads.

    python3 scripts/serve_faults.py                    all of them, some minutes
    python3 scripts/serve_faults.py --only=uploads     kills, service, writers, damage, disk, uploads

Every program that is started is the real command line. The network is a small untrained one, exported to ONNX, because
what is looked at is the disk and not the pictures. Exit status 1 when anything acknowledged was lost or doubled.
"""

import argparse
import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import requests  # noqa: E402
from PIL import Image  # noqa: E402

TOKEN = 'token-of-the-fault-test'
KEY = {'Authorization': 'Bearer ' + TOKEN}


class Fault(Exception):
    """Something that must never happen did."""


def expect(condition, words):
    if not condition:
        raise Fault(words)


# ---- the parts

def photos(folder, count):
    """A folder of small pictures of noise."""
    rng = np.random.RandomState(0)
    for k in range(count):
        path = folder / f'class{k % 7}' / f'{k:04}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.randint(0, 256, (12, 12, 3)).astype(np.uint8)).resize((64, 64)).save(path)
    return folder


def network(folder):
    """An exported untrained network: FILE.onnx."""
    import models
    from serving.export import export_onnx
    net = models.build('convnet', 16, image_size=32, transform='margin')
    file = folder / 'net.onnx'
    export_onnx(net, file, np.zeros((2, 32, 32, 3), np.uint8))
    return file


def command(*words, **options):
    """A main.py that was started, with what it prints as text."""
    environment = dict(os.environ, OMP_NUM_THREADS='1', GLUON_DML_TOKEN=TOKEN)
    return subprocess.Popen([sys.executable, 'main.py', *map(str, words)], cwd=ROOT, text=True, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def index_words(root, index, net):
    return 'index', f'--images={root}', f'--index={index}', f'--checkpoint={net}', '--batch_size=4'


def finish(process):
    """(status, stdout, stderr) of a program that ends by itself."""
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def held(index):
    """{path: vector} of what an index holds; checksums are looked at, and that no path is there twice."""
    from serving.store import Store
    if not (index / 'images.sqlite').exists():
        return {}
    store = Store(index, write=True)        # as the next writer: mends what a killed one left
    try:
        expect(store.lost == 0, f'{store.lost} acknowledged vectors were damaged')
        rows, ids, _ = store.living()
        images = store.images(ids)
        expect(len(images) == len(rows) == len({image.path for image in images.values()}), 'a picture is there twice')
        return {images[i].path: np.array(store.vectors.matrix()[row]) for row, i in zip(rows.tolist(), ids.tolist())}
    finally:
        store.close()


def same(a, b):
    return a.keys() == b.keys() and all(np.allclose(a[path], b[path], atol=1e-5) for path in a)


def start_service(index, *words):
    """(process, url) of a service that answers."""
    process = command('serve', f'--index={index}', '--port=0', *words)
    for line in process.stdout:
        found = re.search(r'page: (http://\S+)', line)
        if found:
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return process, found.group(1)
    raise Fault('the service did not start: ' + process.stderr.read()[-500:])


# ---- the faults

def kills(work, net, args):
    """kill -9 at random moments of indexing."""
    root, whole = photos(work / 'photos', args.photos), work / 'whole.index'
    start = time.perf_counter()
    status, _, err = finish(command(*index_words(root, whole, net)))
    expect(status == 0, err)
    seconds, expected = time.perf_counter() - start, held(whole)
    index, before, partial = work / 'killed.index', {}, 0
    for _ in range(args.kills):
        process = command(*index_words(root, index, net))
        time.sleep(random.uniform(0.3, 1.05) * seconds)
        process.kill()
        process.communicate()
        now = held(index)
        expect(set(before) <= set(now), f'{len(set(before) - set(now))} acknowledged pictures are gone')
        expect(all(np.allclose(now[path], expected[path], atol=1e-5) for path in now), 'a vector is another')
        partial += 0 < len(now) < len(expected)
        before = now
        if len(now) == len(expected):       # begin again, so that there is something to kill
            shutil.rmtree(index)
            before = {}
    status, out, err = finish(command(*index_words(root, index, net)))
    expect(status == 0, err)
    expect(same(held(index), expected), 'after the kills the index is another than without')
    return (f'{args.kills} kills of `index` ({partial} left a part): nothing lost, nothing doubled, the next call '
            'completed')


def service(work, net, args):
    """kill -9 at random moments of adding through the service."""
    root, index = photos(work / 'photos', 8), work / 'photos.index'
    expect(finish(command(*index_words(root, index, net)))[0] == 0, 'index failed')
    rng, acknowledged, sent = np.random.RandomState(1), {}, 0
    for _ in range(args.kills):
        process, url = start_service(index, f'--checkpoint={net}', '--writable')
        timer = threading.Timer(random.uniform(0.05, 1.0), process.kill)
        timer.start()
        with contextlib.suppress(requests.RequestException):
            while True:
                picture = rng.randint(0, 256, (24, 24, 3)).astype(np.uint8)
                file = work / 'one.png'
                Image.fromarray(picture).save(file)
                sent += 1
                answer = requests.post(url + '/images?label=added', data=file.read_bytes(), headers=KEY, timeout=30)
                expect(answer.status_code == 201, f'adding answered {answer.status_code}: {answer.text}')
                acknowledged[answer.json()['ids'][0]] = file.read_bytes()
        timer.join()
        process.communicate()
    expect(acknowledged, 'nothing was added')
    status, out, err = finish(command(*index_words(root, index, net)))
    expect(status == 0, err)
    inside = held(index)
    files = {str(path.relative_to(root)) for path in root.rglob('*.png')}
    expect(set(inside) == files, 'the folder and the index differ after the next `index`')
    process, url = start_service(index, f'--checkpoint={net}')
    for id, data in acknowledged.items():
        answer = requests.get(f'{url}/images/{id}', timeout=30)
        expect(answer.status_code == 200 and answer.content == data, f'the acknowledged image {id} is lost')
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    expect(process.returncode == 0, f'SIGTERM ended with {process.returncode}')
    return (f'{args.kills} kills of the service: {len(acknowledged)} of {sent} additions acknowledged, all there, '
            'none twice')


def writers(work, net, args):
    """Two writers at once."""
    root, index = photos(work / 'photos', 8), work / 'photos.index'
    expect(finish(command(*index_words(root, index, net)))[0] == 0, 'index failed')
    process, url = start_service(index, f'--checkpoint={net}', '--writable')
    status, _, err = finish(command(*index_words(root, index, net)))
    expect(status == 2 and 'is being written by process' in err and err.count('\n') == 1, f'{status}: {err}')
    expect(requests.get(url + '/healthz', timeout=30).json()['images'] == 8, 'the first writer was disturbed')
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    return 'the second writer is refused: ' + err.strip()


def damage(work, net, args):
    """A truncated file of vectors, a truncated file of faiss, another dimension."""
    import models
    from serving.export import export_onnx
    root, index = photos(work / 'photos', 60), work / 'photos.index'
    expect(finish(command(*index_words(root, index, net), '--backend=hnsw'))[0] == 0, 'index failed')
    expected = held(index)
    other = work / 'other.onnx'
    wider = models.build('convnet', 24, image_size=32, transform='margin')
    export_onnx(wider, other, np.zeros((2, 32, 32, 3), np.uint8))
    lines = []
    for name, harm, status, words in (
            ('another dimension', lambda: None, 2, 'holds vectors of 16 numbers, the model gives 24'),
            ('truncated faiss file', lambda: cut(index / 'hnsw.faiss'), 0, 'made again from the vectors'),
            ('truncated vectors', lambda: cut(index / 'vectors.0.f32'), 2, 'lost their vectors. Fix:')):
        harm()
        picture = next(root.rglob('*.png'))
        got, out, err = finish(command('search', f'--index={index}', f'--image={picture}', '--output=',
                                       f'--checkpoint={other if name == "another dimension" else net}'))
        expect(got == status and words in out + err and 'Traceback' not in err, f'{name}: {got} {out} {err}')
        lines.append(f'{name}: ' + next(line for line in (out + err).splitlines() if words in line))
    status, out, err = finish(command(*index_words(root, index, net)))
    expect(status == 0 and same(held(index), expected), f'not repaired: {out} {err}')
    return '\n    '.join(lines + ['repaired by the next `index`'])


def cut(path):
    os.truncate(path, path.stat().st_size * 2 // 3)


def disk(work, net, args):
    """A disk that fills: a small file system in memory."""
    small = work / 'disk'
    small.mkdir()
    if os.getuid() or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=220k', 'tmpfs', small],
                                     capture_output=True).returncode:
        return 'left out: this needs the right to mount a small file system'
    try:
        root, index = photos(work / 'photos', 1600), small / 'photos.index'
        words = index_words(root, index, net)[:-1]
        status, _, err = finish(command(*words))
        last = next((line[line.index('error: '):] for line in err.splitlines() if 'error: ' in line), '')
        expect(status == 2 and 'is full' in last and 'Traceback' not in err, f'{status}: {err[-500:]}')
        first = len(read_only(index))
        subprocess.run(['mount', '-o', 'remount,size=64m', small], check=True)
        status, _, err = finish(command(*words))
        expect(status == 0, err)
        expect(len(held(index)) == 1600, 'the index is not complete')
        return f'full after {first} of 1600 pictures: {last}\n    completed after space was made'
    finally:
        subprocess.run(['umount', small], check=True)


def read_only(index):
    from serving.store import Store
    store = Store(index)
    try:
        return store.page(limit=100000)
    finally:
        store.close()


def uploads(work, net, args):
    """Malformed uploads: 4xx each, memory as before, still serving."""
    from scripts.hostile import uploads as hostile
    root, index = photos(work / 'photos', 40), work / 'photos.index'
    expect(finish(command(*index_words(root, index, net)))[0] == 0, 'index failed')
    process, url = start_service(index, f'--checkpoint={net}')
    good, session, statuses = next(root.rglob('*.png')).read_bytes(), requests.Session(), {}
    try:
        answers = [session.post(url + '/search?k=3', data=good, timeout=60).json() for _ in range(50)]
        for _, name, data in hostile(100, seed=9):      # what any process grows by when it first meets such files
            session.post(url + '/search', files={'image': (name, data)}, timeout=60)
        before, peak = memory(process), 0
        for k, (kind, name, data) in enumerate(hostile(args.uploads)):
            options = {'files': {'image': (name, data)}} if k % 2 else {'data': data}
            answer = session.post(url + ('/embed' if k % 3 else '/search'), timeout=60, **options)
            expect(400 <= answer.status_code < 500 and answer.json()['detail'], f'{kind}: {answer.status_code}')
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            peak = max(peak, memory(process))
        again = session.post(url + '/search?k=3', data=good, timeout=60).json()
        expect(again == answers[0], 'a good picture is answered otherwise than before')
        after = memory(process)
        expect(after < before + 40, f'memory grew from {before:.0f} to {after:.0f} MB')
        return (f'{args.uploads} malformed uploads: {dict(sorted(statuses.items()))}; memory before {before:.0f} MB, '
                f'highest {peak:.0f}, after {after:.0f}; still serving')
    finally:
        process.kill()
        process.communicate()


def memory(process):
    """Resident memory of a process in MB."""
    text = pathlib.Path(f'/proc/{process.pid}/status').read_text()
    return int(re.search(r'VmRSS:\s+(\d+)', text).group(1)) / 1024


FAULTS = {'kills': kills, 'service': service, 'writers': writers, 'damage': damage, 'disk': disk, 'uploads': uploads}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', choices=FAULTS, action='append', help='may be repeated; default: all')
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--photos', type=int, default=400, help='pictures that are indexed while it is killed')
    parser.add_argument('--uploads', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    random.seed(args.seed)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        net = network(folder)
        for name in args.only or FAULTS:
            (folder / name).mkdir()
            try:
                print(f'{name}: {FAULTS[name](folder / name, net, args)}', flush=True)
            except Fault as fault:
                failed = True
                print(f'{name}: FAILED: {fault}', flush=True)
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
