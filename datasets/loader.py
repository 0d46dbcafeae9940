"""The loader: plans in, batches of uint8 pictures out, read and augmented by threads."""

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from core.contracts import Batch, Plan
from core.errors import UserError
from core.lazy import lazy
from datasets.threads import default_workers

cv2 = lazy('cv2')

PREFETCH = 3    # batches in the making while the consumer works on one


def sequential(n, batch_size):
    """Plans that visit rows 0..n-1 in order, the last batch short: for evaluation."""
    starts = range(0, n, batch_size)
    rows = (np.arange(start, min(start + batch_size, n)) for start in starts)
    return [Plan(index, np.zeros(len(index), dtype=np.uint32), None) for index in rows]


class Loader:
    """Calling it with plans iterates Batch(image uint8 (n, S, S, 3), label int32 (n,), index int64 (n,), extra).

    Item i of a plan is `transform(split.read(index[i]), RandomState(seed[i]))`, so the pictures do not depend on the
    number of threads. OpenCV and PIL release the interpreter's lock while they decode and resize, which is why threads
    do and no process has to be forked.

    Parameters
    ----------
    split : datasets.records.Split
    transform : callable (image uint8 (H, W, 3), RandomState) -> uint8 (S, S, 3). If it has `draw_batch(RandomState)`,
        that is called once for each batch and its result given to every item as third argument.
    num_workers : threads; 0 works in the caller; None: one for each processor
    share : callable, size n of a batch -> slice of its rows whose pictures are read: one worker's of a distributed run.
        label, index and extra are those of the whole batch all the same. None: all rows

    Attributes
    ----------
    wait_seconds : time that the consumer has spent waiting for pictures
    """

    def __init__(self, split, transform, num_workers=None, share=None):
        self.split, self.transform, self.share = split, transform, share
        self.num_workers = default_workers() if num_workers is None else num_workers
        self.wait_seconds = 0.0
        self._local = threading.local()
        self._shape = None
        if self.num_workers:
            cv2.setNumThreads(0)    # our threads are the parallelism; OpenCV's own would only compete with them

    def __call__(self, plans):
        if not self.num_workers:
            for plan in plans:
                started = time.perf_counter()
                batch = self._finish(plan, *self._start(plan))
                self.wait_seconds += time.perf_counter() - started
                yield batch
            return
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix='loader')
        queue, plans = deque(), iter(plans)
        try:
            while True:
                started = time.perf_counter()
                for plan in plans:
                    queue.append((plan, self._start(plan, pool)))
                    if len(queue) > PREFETCH:
                        break
                if not queue:
                    return
                plan, work = queue.popleft()
                batch = self._finish(plan, *work)
                self.wait_seconds += time.perf_counter() - started
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, plan, pool=None):
        """(pictures, rows, futures): the buffers of a batch, being filled by the pool, or full without one."""
        n = len(plan.index)
        draw = getattr(self.transform, 'draw_batch', None)
        shared = () if draw is None else (draw(np.random.RandomState([int(plan.seed[0]), n])),)
        index = np.array(plan.index, dtype=np.int64)
        if self._shape is None:
            self._shape = self._item(int(index[0]), plan.seed[0], shared).shape
        own = slice(0, n) if self.share is None else self.share(n)
        rows, seed, n = index[own], plan.seed[own], own.stop - own.start
        image = np.empty((n,) + self._shape, dtype=np.uint8)
        if pool is None:
            self._fill(image, rows, seed, shared, 0, n)
            return image, index, ()
        step = -(-n // self.num_workers)
        return image, index, [pool.submit(self._fill, image, rows, seed, shared, k, min(k + step, n))
                              for k in range(0, n, step)]

    def _finish(self, plan, image, index, futures):
        for future in futures:    # in the order of the items, so that the same error is reported every time
            future.result()
        extra = None if plan.extra is None else plan.extra()
        return Batch(image, self.split.labels[index].astype(np.int32), index, extra)

    def _fill(self, image, index, seed, shared, start, stop):
        for k in range(start, stop):
            picture = self._item(int(index[k]), seed[k], shared)
            if picture.shape != self._shape:
                raise ValueError(f'the transform returned a picture of shape {self._shape} and one of '
                                 f'{picture.shape} for {self.split.path(int(index[k]))}')
            image[k] = picture

    def _item(self, row, seed, shared):
        source = self.split.read(row)
        try:
            return self.transform(source, self._rng(seed), *shared)
        except UserError:
            raise
        except Exception as error:
            raise RuntimeError(f'the transform failed on {self.split.path(row)}: {error}') from error

    def _rng(self, seed):
        """RandomState(seed); seeding again the thread's own object is 50 times faster than making one."""
        if not hasattr(self._local, 'rng'):
            self._local.rng = np.random.RandomState()
        self._local.rng.seed(seed)
        return self._local.rng
