"""Kernels that several losses share: pure functions of F and tensors, the same eager and hybridized.

Notation: x (n, D) and y (m, D) are rows of embeddings, label (n,).
"""

from __future__ import annotations

from core.contracts import Ops, Tensor


def inner_products(F: Ops, x: Tensor, y: Tensor, rows: int | None = None) -> Tensor:
    """x_i . y_j, (n, m).

    rows : m, if it is known. FullyConnected then computes the product: on a CPU it is 3 to 7 times faster than dot
        (oneDNN), and it gives rows that are equal bit by bit equal products, which dot does not always.
    """
    if rows is None:
        return F.dot(x, y, transpose_b=True)
    return F.FullyConnected(x, y, no_bias=True, num_hidden=rows, flatten=False)


def row_sums(F: Ops, x: Tensor) -> Tensor:
    """Sum of each row of x (n, D): (n,).

    A product with ones: MXNet's sum along an axis handles one number at a time on a CPU, which for (128, 512) takes
    twice the time, and the gradient of a broadcast, a sum too, 24 ns a number.
    """
    ones = F.ones_like(F.slice_axis(x, axis=0, begin=0, end=1))  # (1, D)
    return F.reshape(F.FullyConnected(x, ones, no_bias=True, num_hidden=1, flatten=False), shape=(-1,))


def outer_sum(F: Ops, a: Tensor, b: Tensor, rows: int | None = None) -> Tensor:
    """a_i + b_j of a (n,) and b (m,): (n, m). rows : m, if it is known; then a product does it (see row_sums)."""
    a, b = F.expand_dims(a, 1), F.expand_dims(b, 1)
    if rows is None:
        return F.broadcast_add(a, F.transpose(b))
    # Not the product with one column and b as its bias: the bias gradient of that is garbage in MXNet 1.9.1 on a CPU.
    left, right = F.concat(a, F.ones_like(a), dim=1), F.concat(F.ones_like(b), b, dim=1)  # (n, 2), (m, 2)
    return F.FullyConnected(left, right, no_bias=True, num_hidden=rows, flatten=False)


def squared_distances(F: Ops, x: Tensor, y: Tensor = None, rows: int | None = None) -> Tensor:
    """|x_i|^2 + |y_j|^2 - 2 x_i . y_j, (n, m); y is x when left out, and the diagonal exactly 0.

    May be slightly negative by rounding. rows : m, if it is known (see inner_products)
    """
    products = inner_products(F, x, x if y is None else y, rows)  # (n, m)
    if y is None:
        xx = yy = F.diag(products)
    else:
        xx, yy = row_sums(F, F.square(x)), row_sums(F, F.square(y))
    return outer_sum(F, xx, yy, rows) - 2 * products


def euclidean_distances(F: Ops, x: Tensor, y: Tensor = None, rows: int | None = None, low: float = 1e-12) -> Tensor:
    """sqrt(max(squared distance, low)), (n, m); where it is clipped the gradient is 0, so never NaN."""
    return F.sqrt(F.clip(squared_distances(F, x, y, rows), low, 1e12))


def row_distances(F: Ops, x: Tensor, y: Tensor, eps: float = 0.0) -> Tensor:
    """sum_d (x_d - y_d)^2 + eps of each pair of rows: (n,)."""
    return row_sums(F, F.square(x - y)) + eps


def same_label(F: Ops, label: Tensor, other: Tensor = None) -> Tensor:
    """1 where label_i = other_j, else 0: (n, m), float32."""
    other = label if other is None else other
    rows = F.cast(F.expand_dims(label, 1), 'float32')
    return F.broadcast_equal(rows, F.cast(F.expand_dims(other, 0), 'float32'))


def softplus(F: Ops, x: Tensor) -> Tensor:
    """log(1 + exp(x)) without overflow."""
    return F.Activation(x, act_type='softrelu')


def logsumexp(F: Ops, x: Tensor, axis: int, keepdims: bool = False) -> Tensor:
    """log sum exp(x) along an axis, stable for any finite x."""
    top = F.BlockGrad(F.max(x, axis=axis, keepdims=True))
    total = F.log(F.sum(F.exp(F.broadcast_sub(x, top)), axis=axis, keepdims=True)) + top
    return total if keepdims else F.squeeze(total, axis=axis)


def off_diagonal(F: Ops, label: Tensor) -> Tensor:
    """1 everywhere but on the diagonal: (n, n) for label (n,)."""
    index = F.contrib.arange_like(F.cast(label, 'float32'), axis=0)  # (n,)
    return F.broadcast_not_equal(F.expand_dims(index, 1), F.expand_dims(index, 0))


def tied_max(F: Ops, x: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """Maximum along an axis whose gradient is shared equally by the elements that attain it.

    MXNet's own max passes the whole gradient to each of them; TensorFlow's reduce_max does it as here.
    """
    x0 = F.BlockGrad(x)
    top = F.max(x0, axis=axis, keepdims=True)
    hit = F.broadcast_equal(x0, top)
    share = F.broadcast_div(hit, F.sum(hit, axis=axis, keepdims=True))
    return F.sum(F.where(hit, x * share, F.zeros_like(x)), axis=axis)


def tied_min(F: Ops, x: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """Minimum along an axis whose gradient is shared equally by the elements that attain it."""
    return -tied_max(F, -x, axis)


def log1p_sum_exp(F: Ops, x: Tensor, mask: Tensor, axis: int = 1) -> Tensor:
    """log(1 + sum of exp(x) over mask = 1) along an axis, stable; without any element 0."""
    x = F.where(mask, x, -1e9 * F.ones_like(x))
    top = F.relu(F.BlockGrad(F.max(x, axis=axis, keepdims=True)))
    total = F.exp(-top) + F.sum(F.exp(F.broadcast_sub(x, top)), axis=axis, keepdims=True)
    return F.squeeze(F.log(total) + top, axis=axis)
