"""Searches of many requests through the index together."""

import threading
from concurrent.futures import Future

import numpy as np


class Searches:
    """Searches that arrive while another one runs wait, and then go through the index at once: a pass over all vectors
    costs hardly more for sixteen queries than for one.

    Parameters
    ----------
    index : of serving.index.open_index
    most : queries of one pass
    """

    def __init__(self, index, most=16):
        self._index, self._most = index, most
        self._waiting, self._guard, self._turn = [], threading.Lock(), threading.Lock()

    def __call__(self, vector, k, labels=None):
        """(ids int64 (k',), distances float32 (k',)) nearest to vector float32 (D,); see serving.local's `search`."""
        done = Future()
        with self._guard:
            self._waiting.append((vector, k, None if labels is None else tuple(sorted(labels)), done))
        while not done.done():
            with self._turn:
                if not done.done():
                    self._pass(done)
        return done.result()

    def _pass(self, mine):
        """Answer the caller and those who wait with the same filter."""
        with self._guard:
            labels = next(filter_ for _, _, filter_, done in self._waiting if done is mine)
            alike = [one for one in self._waiting if one[2] == labels]
            alike.sort(key=lambda one: one[3] is not mine)      # the caller first, then by arrival
            chosen = alike[:self._most]
            self._waiting = [one for one in self._waiting if all(one is not other for other in chosen)]
        try:
            ids, far = self._index.search(np.stack([vector for vector, *_ in chosen]), max(k for _, k, *_ in chosen),
                                          labels)
        except BaseException as error:      # whatever it is, those who wait have to hear of it
            for *_, done in chosen:
                done.set_exception(error)
            return
        for (_, k, _, done), row, distance in zip(chosen, ids, far):
            done.set_result((row[:k], distance[:k]))
