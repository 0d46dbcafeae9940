"""Pictures and searches that wait for the network and the index: together, in turn, refused when too many."""

import concurrent.futures
import socket
import threading

import cv2
import numpy as np
import pytest

from serving.service.batching import Batcher, Full
from serving.service.combining import Searches
from serving.service.server import bind
from tests.serving.live import build, serving
from tests.serving.stub import Colours, album, picture


def png(seed, size=(48, 40)):
    return cv2.imencode('.png', picture(seed, size)[:, :, ::-1])[1].tobytes()


class Slow(Colours):
    """Embeds when it is told to."""

    def __init__(self):
        super().__init__()
        self.go, self.begun = threading.Event(), threading.Event()

    def forward(self, batch):
        self.begun.set()
        assert self.go.wait(20)
        return super().forward(batch)


def slow_encoder():
    from serving.encoder import Encoder
    return Encoder(Slow())


def test_beyond_the_queue_the_answer_is_503_and_what_waits_is_answered(tmp_path):
    slow = slow_encoder()
    with serving(build(tmp_path / 'i', album(tmp_path / 'photos')), slow, queue=4, max_batch=8) as live:
        with concurrent.futures.ThreadPoolExecutor(9) as pool:
            asked = [pool.submit(live.post, '/search?k=1', data=png(k)) for k in range(9)]
            assert slow.engine.begun.wait(20)
            refused = first(asked, 5)
            assert {answer.status_code for answer in refused} == {503}
            assert all(int(answer.headers['Retry-After']) >= 1 for answer in refused)
            assert live.get('/healthz').status_code == 200
            slow.engine.go.set()
            answers = [future.result() for future in asked]
        assert sorted(answer.status_code for answer in answers) == [200] * 4 + [503] * 5
        assert live.post('/search?k=1', data=png(1)).status_code == 200


def first(futures, count):
    return [future.result() for _, future in zip(range(count), concurrent.futures.as_completed(futures, 20))]


def test_pictures_are_embedded_together_each_answered_with_its_own():
    go, sizes = threading.Event(), []

    def forward(batch):
        go.wait(20)
        sizes.append(len(batch))
        return batch[:, 0, 0, :1].astype(np.float32)

    batcher = Batcher(forward, max_batch=4, max_wait=0.2, capacity=10)
    futures = batcher.submit([np.full((2, 2, 3), k, np.uint8) for k in range(9)])
    with pytest.raises(Full):
        for _ in range(12):
            futures += batcher.submit([np.zeros((2, 2, 3), np.uint8)])
    go.set()
    assert [float(future.result(20)[0]) for future in futures[:9]] == list(range(9))
    batcher.close()
    assert all(future.done() for future in futures) and max(sizes) == 4 and sum(sizes) == len(futures)
    with pytest.raises(Full):
        batcher.submit([np.zeros((2, 2, 3), np.uint8)])


def test_an_error_of_the_network_reaches_who_waits_and_the_next_is_served():
    def forward(batch):
        if batch.max() > 100:
            raise ValueError('no')
        return batch[:, 0, 0, :1].astype(np.float32)

    batcher = Batcher(forward, max_batch=1)
    bad, = batcher.submit([np.full((2, 2, 3), 200, np.uint8)])
    with pytest.raises(ValueError):
        bad.result(20)
    good, = batcher.submit([np.full((2, 2, 3), 7, np.uint8)])
    assert good.result(20)[0] == 7
    batcher.close()


class SlowIndex:
    """Ids k * 10 + label and distances k for a query of k: shows who asked with whom."""

    def __init__(self):
        self.passes, self.gate = [], threading.Event()

    def search(self, queries, k, labels=None):
        self.passes.append((len(queries), k, labels))
        self.gate.wait(10)
        if labels == ('bad',):
            raise ValueError('no such thing')
        ids = queries[:, :1].astype(int) * 100 + np.arange(k)
        return ids, ids.astype(np.float32)


def test_searches_that_wait_go_through_the_index_together():
    index = SlowIndex()
    search = Searches(index, most=4)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        first = pool.submit(search, np.array([7.0]), 2)
        while not index.passes:
            threading.Event().wait(0.01)
        others = [pool.submit(search, np.array([float(n)]), 1 + n, None if n < 5 else ['bad']) for n in range(6)]
        while len(search._waiting) < 6:
            threading.Event().wait(0.01)
        index.gate.set()
        assert first.result()[0].tolist() == [700, 701]
        for n in range(5):
            ids, far = others[n].result()
            assert ids.tolist() == [100 * n + j for j in range(1 + n)] == far.tolist()
        with pytest.raises(ValueError, match='no such thing'):
            others[5].result()
    # five of one filter in two passes of at most four, the other filter alone
    assert sorted(count for count, *_ in index.passes) == [1, 1, 1, 4]
    assert not search._waiting


def test_answers_do_not_wait_for_acknowledgements():
    with bind('127.0.0.1', 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
