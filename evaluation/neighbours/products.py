"""Float32 products of rows: by MXNet, on a CPU or a GPU, and by NumPy where MXNet is not installed."""

import numpy as np

from core.runtime import has_mxnet, mx, nd


def to_device(x, ctx=None):
    """float32 rows (N, K) where products are computed: an NDArray on `ctx` (None: the CPU), or the NumPy array."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    return nd.array(x, ctx=ctx or mx.cpu()) if has_mxnet() else x


def to_numpy(array):
    """The NumPy array of what `product` returned."""
    return array if isinstance(array, np.ndarray) else array.asnumpy()


def take(array, index):
    """Rows of what `to_device` returned, by slice or index array."""
    if isinstance(index, slice) or isinstance(array, np.ndarray):
        return array[index]
    return nd.take(array, nd.array(index, ctx=array.context, dtype='int32'))


def product(left, right, bias=None, out=None):
    """left . right^T + bias of rows (n, K), (m, K) and (m,): (n, m). `out` takes the result.

    MXNet's FullyConnected is 3-4 times as fast as its dot on a CPU.

    Example
    -------
    >>> x = to_device([[1.0, 2.0]])
    >>> to_numpy(product(x, x)).tolist()
    [[5.0]]
    """
    if isinstance(left, np.ndarray):
        result = np.matmul(left, right.T, out=out)
        return result if bias is None else np.add(result, bias, out=result)
    bias = () if bias is None else (bias,)
    return nd.FullyConnected(left, right, *bias, no_bias=not bias, num_hidden=right.shape[0], out=out)


class Buffer:
    """Room for a product, and what NumPy sees of it: on a CPU the memory itself, else a copy.

    Parameters
    ----------
    size : numbers that fit
    like : array of to_device, which says where
    """

    def __init__(self, size, like):
        self.array = self.view = np.empty(size, dtype=np.float32)
        if not isinstance(like, np.ndarray):
            self.array = nd.zeros((size,), ctx=like.context)
            self.array.wait_to_read()
            self.view = np.from_dlpack(Capsule(self.array)) if like.context.device_type == 'cpu' else None

    def product(self, left, right):
        """left . right^T as float32 (n, m), valid until the next call."""
        shape = left.shape[0], right.shape[0]
        out = product(left, right, out=self.array[:shape[0] * shape[1]].reshape(shape))
        if self.view is None:
            return out.asnumpy()
        if not isinstance(out, np.ndarray):
            out.wait_to_read()
        return self.view[:shape[0] * shape[1]].reshape(shape)


class Capsule:
    """NumPy's protocol around the DLPack capsule of an NDArray in CPU memory."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.to_dlpack_for_read()

    @staticmethod
    def __dlpack_device__():
        return 1, 0
