"""Killed, stopped and fed with rubbish: what was acknowledged stays. scripts/serve_faults.py does more."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys

import cv2
import requests

from scripts.hostile import KINDS, uploads
from tests.serving.live import build, serving
from tests.serving.stub import album, picture

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = {'Authorization': 'Bearer a-token-of-more-than-16'}


def png(seed):
    return cv2.imencode('.png', picture(seed)[:, :, ::-1])[1].tobytes()


def start(*words, **environment):
    environment = dict(os.environ, OMP_NUM_THREADS='1', GLUON_DML_TOKEN=KEY['Authorization'].split()[1], **environment)
    return subprocess.Popen([sys.executable, '-m', 'tests.serving.launch', *map(str, words)], cwd=ROOT, text=True,
                            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@contextlib.contextmanager
def service(index, *words, **environment):
    process = start('serve', f'--index={index}', '--port=0', *words, **environment)
    try:
        lines = iter(process.stdout.readline, '')
        yield process, next(filter(None, (re.search(r'page: (http://\S+)', line) for line in lines))).group(1)
    finally:
        process.kill()
        process.communicate()


def test_malformed_uploads_are_4xx_and_the_service_goes_on(tmp_path):
    with serving(build(tmp_path / 'i', album(tmp_path / 'photos'))) as live:
        before = live.post('/search?k=3', data=png(1)).json()
        statuses = {}
        for kind, name, data in uploads(4 * len(KINDS)):
            form = live.post('/embed', files={'image': (name, data)})
            bare = live.post('/search', data=data)
            for answer in (form, bare):
                assert 400 <= answer.status_code < 500 and answer.json()['detail'], kind
                statuses.setdefault(kind, set()).add(answer.status_code)
        assert statuses['PNG bomb'] == statuses['claimed size'] == {413}
        assert statuses['SVG'] == statuses['HTML'] == statuses['zeros'] == {415} and 400 in statuses['zero bytes']
        assert live.post('/search?k=3', data=png(1)).json() == before


def test_sigterm_answers_what_was_begun_and_ends_with_0(tmp_path):
    index = build(tmp_path / 'i', album(tmp_path / 'photos'))
    with service(index, '--max_batch=1', SLOW='0.4') as (process, url):
        requests.post(url + '/search?k=1', data=png(1), timeout=30)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(requests.post, url + '/search?k=1', data=png(k), timeout=30) for k in range(3)]
            while requests.get(url + '/metrics', timeout=30).text.count('requests_under_way 3.0') == 0:
                pass
            process.send_signal(signal.SIGTERM)
            assert [future.result().status_code for future in asked] == [200, 200, 200]
        assert process.wait(30) == 0
        with contextlib.suppress(requests.RequestException):
            assert requests.get(url, timeout=5) is None


def test_an_added_image_survives_kill_9_and_a_second_writer_is_refused(tmp_path):
    root = album(tmp_path / 'photos')
    index = build(tmp_path / 'i', root)
    with service(index, '--writable') as (process, url):
        id, = requests.post(url + '/images?label=new', data=png(99), headers=KEY, timeout=30).json()['ids']
        second = start('index', f'--images={root}', f'--index={index}')
        _, err = second.communicate(timeout=60)
        assert second.returncode == 2 and f'is being written by process {process.pid}' in err
        process.kill()
        process.wait(30)
    with serving(build(index, root)) as live:
        assert live.get('/healthz').json()['images'] == 13
        assert live.post('/search?k=1', data=png(99)).json()['results'][0]['id'] == id
        assert live.get(f'/images/{id}').content == png(99)


def test_a_killed_index_goes_on_where_it_was(tmp_path):
    root, index = album(tmp_path / 'photos', each=8), tmp_path / 'i'
    process = start('index', f'--images={root}', f'--index={index}', '--batch_size=2', SLOW='0.3')
    for line in iter(process.stderr.readline, ''):
        if re.search(r' [2-9]/24', line):
            break
    process.kill()
    process.communicate()
    again = start('index', f'--images={root}', f'--index={index}')
    out, err = again.communicate(timeout=60)
    added, unchanged = map(int, re.search(r'(\d+) new, 0 changed, 0 vanished, (\d+) unchanged', out).groups())
    assert added + unchanged == 24 and 0 < added < 24
