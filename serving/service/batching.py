"""Pictures of many requests through the network together."""

import queue
import threading
import time
from concurrent.futures import Future

import numpy as np


class Full(Exception):
    """More pictures wait than may."""


class Batcher:
    """A thread that embeds what many others hand in, as many at a time as there are.

    Parameters
    ----------
    forward : function uint8 (n, S, S, 3) -> float32 (n, D)
    max_batch : pictures of one call
    max_wait : seconds that the first picture of a batch waits for more
    capacity : pictures that may wait
    metrics : settings.Metrics or None
    """

    def __init__(self, forward, max_batch=16, max_wait=0.005, capacity=64, metrics=None):
        self.forward, self.max_batch, self.max_wait, self.capacity = forward, max_batch, max_wait, capacity
        self._metrics = metrics
        self._queue, self._waiting, self._guard = queue.SimpleQueue(), 0, threading.Lock()
        self._thread = threading.Thread(target=self._run, name='batcher', daemon=True)
        self._thread.start()

    def submit(self, images):
        """Hand in uint8 (S, S, 3) pictures; returns a Future of float32 (D,) for each. Raises Full."""
        with self._guard:
            if self._thread is None or self._waiting + len(images) > self.capacity:
                raise Full
            self._waiting += len(images)
        futures = [Future() for _ in images]
        for future, image in zip(futures, images):
            self._queue.put((future, image))
        return futures

    def close(self):
        """Embed what still waits, then end."""
        with self._guard:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _run(self):
        ended = False
        while not ended:
            batch = [self._queue.get()]
            until = time.monotonic() + self.max_wait
            while batch[-1] is not None and len(batch) < self.max_batch:
                try:
                    batch.append(self._queue.get(timeout=max(0.0, until - time.monotonic())))
                except queue.Empty:
                    break
            ended = batch[-1] is None
            self._embed([entry for entry in batch if entry is not None])

    def _embed(self, batch):
        with self._guard:
            self._waiting -= len(batch)
            waiting = self._waiting
        batch = [(future, image) for future, image in batch if future.set_running_or_notify_cancel()]
        if not batch:
            return
        start = time.perf_counter()
        try:
            vectors = self.forward(np.stack([image for _, image in batch]))
        except BaseException as error:      # whatever it is, those who wait have to hear of it
            for future, _ in batch:
                future.set_exception(error)
            return
        if self._metrics:
            self._metrics.waiting.set(waiting)
            self._metrics.batch.observe(len(batch))
            self._metrics.forward.observe(time.perf_counter() - start)
        for (future, _), vector in zip(batch, vectors):
            future.set_result(vector)
