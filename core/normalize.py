"""Rows of length one. Each original guards against a zero row in its own way: the guard is a named value here."""

from typing import Any

import numpy as np


def l2_normalize(F, x, eps: float = 1e-10, floor: float = 0.0) -> Any:
    r"""Each row of x (n, D) divided by its Euclidean length: (n, D). A zero row stays zero.

    .. math:: \hat x_i = x_i / \sqrt{\sum_d x_{id}^2 + \epsilon} \quad\text{or}\quad
              \hat x_i = x_i / \sqrt{\max(\sum_d x_{id}^2, \text{floor})}

    Parameters
    ----------
    F : mxnet.nd or mxnet.sym
    x : (n, D)
    eps : added to the squared length (MXNet's form: L2Normalization, whose default it is). Ignored with a floor.
    floor : above 0: the least squared length instead (TensorFlow's form: tf.nn.l2_normalize, 1e-12 or 1e-10)
    """
    if floor <= 0:
        return F.L2Normalization(x, mode='instance', eps=eps)
    return F.broadcast_mul(x, F.rsqrt(F.maximum(F.sum(F.square(x), axis=1, keepdims=True), floor)))


def unit_rows(x: np.ndarray, eps: float = 0.0, floor: float = 1e-24) -> np.ndarray:
    """`l2_normalize` of a NumPy array (n, D), in its own precision.

    Parameters
    ----------
    eps : added to the squared length; 0: none
    floor : least squared length (1e-24: a length of 1e-12), so that a zero row stays zero

    Example
    -------
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    x = np.asarray(x)
    return x / np.sqrt(np.maximum(np.square(x).sum(axis=1, keepdims=True) + eps, floor))
