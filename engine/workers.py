"""The processes of one training run, joined by MXNet's parameter server (`--kvstore=dist_sync`).

A loss that compares images sees pairs of the whole batch or it is another loss. So every worker reads and embeds its
own share of the batch, the embeddings of all shares are gathered, and each worker takes the loss of the whole batch.
Its gradient reaches only its own rows; the sum over the workers is that of one process with the whole batch.
"""

from __future__ import annotations

import os

import numpy as np

from core.errors import UserError
from core.runtime import mx, nd


class Alone:
    """One process: nothing is exchanged."""

    rank, size, exchanged = 0, 1, 0

    def share(self, n: int) -> slice:
        """Rows of a batch of n images that this worker reads: all of them."""
        return slice(0, n)

    def gather(self, name: str, own, n: int):
        """`own` (n, ...) as it is."""
        return own

    def each(self, name: str, array):
        """`array` of each worker: [array]."""
        return [array]

    def sum(self, name: str, parameters, scale: float = 1.0) -> None:
        """Leave the gradients as they are."""

    def agree(self, number):
        """`number` as it is."""
        return number

    def broadcast(self, name: str, array):
        """`array` as it is, as NumPy."""
        return np.asarray(array)

    def barrier(self) -> None:
        """Wait for nobody."""


class Workers:
    """One of several workers; made by `connect`.

    Attributes
    ----------
    rank : int, number of this worker from 0; worker 0 evaluates and writes
    size : int, number of workers
    exchanged : int, bytes that this worker has sent and received
    """

    def __init__(self, kvstore):
        self.kvstore = kvstore
        self.rank, self.size = kvstore.rank, kvstore.num_workers
        self.known, self.exchanged = {}, 0

    def share(self, n: int) -> slice:
        """Rows of a batch of n images that this worker reads: n / size each, the first workers one more.

        Of a batch with fewer images than workers the last ones read row 0 as well, see `gather`.
        """
        mine = self.mine(n)
        return mine if mine.stop > mine.start else slice(0, 1)

    def mine(self, n: int) -> slice:
        """Rows of a batch of n images that count as this worker's; none for the last workers of a tiny batch."""
        edges = np.cumsum([0] + [n // self.size + (worker < n % self.size) for worker in range(self.size)])
        return slice(int(edges[self.rank]), int(edges[self.rank + 1]))

    def _key(self, name, shape):
        """The number of an array of the server; it is made, on all workers in the same order, when first met."""
        if (name, shape) not in self.known:
            self.known[name, shape] = str(len(self.known))
            self.kvstore.init(self.known[name, shape], nd.zeros(shape))
        return self.known[name, shape]

    def _push(self, name, array):
        """Add `array` (on the CPU) to what the workers sum under `name`; returns the number of the sum."""
        key = self._key(name, array.shape)
        self.kvstore.push(key, array)
        self.exchanged += 2 * 4 * array.size       # float32, there now and back when it is pulled
        return key

    def _total(self, name, array):
        """Sum of `array` over the workers, on the CPU."""
        total = nd.zeros(array.shape)
        self.kvstore.pull(self._push(name, array), out=total)
        return total

    def gather(self, name: str, own, n: int):
        """Rows of all workers, (n, ...), in the order of the batch; a gradient flows back to `own` (m, ...) alone.

        Exact: each row is a sum of one number and zeros.
        """
        if own is None:
            return None
        mine = self.mine(n)
        with mx.autograd.pause():
            padded = nd.zeros((n,) + own.shape[1:])
            if mine.stop > mine.start:
                padded[mine] = own.as_in_context(mx.cpu())
            total = self._total(name, padded).as_in_context(own.context)
        if mine.stop == mine.start:      # the row that was read belongs to another worker: its gradient is zero
            return nd.broadcast_add(total, 0 * own[:1])
        parts = [total[:mine.start]] * (mine.start > 0) + [own] + [total[mine.stop:]] * (mine.stop < n)
        return nd.concat(*parts, dim=0)

    def each(self, name: str, array):
        """`array` of each worker, (workers, ...) on the CPU."""
        table = nd.zeros((self.size,) + array.shape)
        table[self.rank] = array.as_in_context(mx.cpu())
        total = self._total(f'each {name}', table)
        total.wait_to_read()    # what a process has not sent when it ends is never sent, and the others wait for it
        return total

    def sum(self, name: str, parameters, scale: float = 1.0) -> None:
        """Replace the gradient of each Parameter by `scale` times its sum over the workers.

        The server adds in the order of arrival, which a sum of two does not notice. Of more workers every two have a
        sum of their own, and all add these in the same order: the same command gives the same bits each time.
        """
        trained = [(number, parameter.list_grad()) for number, parameter in enumerate(parameters)
                   if parameter.grad_req != 'null']
        keys = []
        for number, gradients in trained:
            own = sum_of(gradients) * scale
            keys.append([self._push(f'{name} {number} of {pair}', own if pair == self.rank // 2 else nd.zeros_like(own))
                         for pair in range((self.size + 1) // 2)])
        for (first, *others), (_, gradients) in zip(keys, trained):     # all are on their way before one is waited for
            self.kvstore.pull(first, out=gradients)
            for key in others:
                part = nd.zeros(gradients[0].shape)
                self.kvstore.pull(key, out=part)
                for gradient in gradients:
                    gradient += part.as_in_context(gradient.context)

    def agree(self, number):
        """The largest of the workers' numbers (None counts as nothing); None when all are None."""
        ranks = nd.zeros((self.size,))
        ranks[self.rank] = 0 if number is None else int(number)
        return int(self._total('agree', ranks).max().asscalar()) or None

    def broadcast(self, name: str, array):
        """The array (NumPy, any shape) of worker 0 on all workers."""
        array = np.asarray(array, dtype=np.float32)
        return self._total(name, nd.array(array if self.rank == 0 else np.zeros_like(array))).asnumpy()

    def barrier(self) -> None:
        """Wait until all workers are here."""
        self._total('barrier', nd.zeros((1,))).wait_to_read()


def sum_of(arrays):
    """Sum of NDArrays of several devices, on the CPU."""
    total = arrays[0].as_in_context(mx.cpu())
    for array in arrays[1:]:
        total = total + array.as_in_context(mx.cpu())
    return total


def connect(kvstore: str) -> Alone | Workers:
    """The workers that --kvstore names.

    Raises
    ------
    UserError : dist_sync without the variables that `main.py launch` sets, or those without it
    """
    launched = os.environ.get('DMLC_ROLE') == 'worker'
    if not kvstore.startswith('dist'):
        if launched:
            raise UserError(f'--kvstore={kvstore} lets each worker of launch train a network of its own. Fix: '
                            '--kvstore=dist_sync')
        return Alone()
    if not launched:
        raise UserError(f'--kvstore={kvstore} needs several processes. Fix: python3 main.py launch --workers=2 -- '
                        f'--kvstore={kvstore} ... starts them')
    return Workers(mx.kv.create(kvstore))
