"""What embeddings and labels must be before anything is computed from them: one check, one wording."""

import numpy as np

from core.errors import UserError
from core.text import count


def listed(rows) -> str:
    """Row numbers as text, the first ten of many.

    Example
    -------
    >>> listed(range(3)), listed(range(12))
    ('rows 0, 1, 2', 'rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 (12 in all)')
    >>> listed([3])
    'row 3'
    """
    shown = f'row{"s" * (len(rows) != 1)} ' + ', '.join(map(str, rows[:10]))
    return f'{shown} ({len(rows)} in all)' if len(rows) > 10 else shown


def squared_norms(embeddings: np.ndarray, metric: str = 'euclidean', what: str = 'embeddings') -> np.ndarray:
    """The squared length of every row, which tells whether all of them can be used.

    Parameters
    ----------
    embeddings : (N, D) of any real type, N and D at least 1
    metric : 'cosine' refuses zero rows
    what : word for the rows in errors

    Returns
    -------
    float64 (N,)

    Raises
    ------
    UserError : another shape, NaN, an infinite number, a zero row under the cosine; rows are named

    Example
    -------
    >>> squared_norms(np.array([[3.0, 4.0], [0.0, 1.0]]))
    array([25.,  1.])
    """
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or not embeddings.size:
        raise UserError(f'{what} have shape {embeddings.shape}, expected (N, D)')
    squares = np.einsum('ij,ij->i', embeddings, embeddings, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(squares))
    if len(bad):
        raise UserError(f'{what} hold NaN or infinite numbers in {listed(bad)}')
    if metric == 'cosine' and not squares.all():
        raise UserError(f'--metric=cosine is undefined for zero vectors, {listed(np.flatnonzero(squares == 0))}. '
                        'Fix: --metric=euclidean')
    return squares


def class_numbers(labels, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(classes in ascending order, int64 (N,) number of each item's class) of labels of any type.

    Parameters
    ----------
    labels : (N,) numbers or names
    n : number of embeddings that they belong to

    Raises
    ------
    UserError : not one label for each; a label that is NaN or an empty name, which would make one class of items that
        have none

    Example
    -------
    >>> class_numbers(['b', 'a', 'b'])
    (array(['a', 'b'], dtype='<U1'), array([1, 0, 1]))
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or n not in (None, len(labels)):
        raise UserError(f'{count(len(labels) if n is None else n, "embedding")} but labels of shape {labels.shape}: '
                        'there must be one label for each')
    if labels.dtype.kind == 'f':
        lacking = np.isnan(labels)
    elif labels.dtype.kind in 'OUS':
        lacking = np.array([label != label or label is None or not str(label).strip() for label in labels.tolist()],
                           dtype=bool)
    else:
        lacking = np.zeros(0, dtype=bool)
    if lacking.any():
        raise UserError(f'{count(int(lacking.sum()), "label is", "labels are")} NaN or empty, '
                        f'{listed(np.flatnonzero(lacking))}: items without a class cannot be scored. Fix: give them '
                        'labels or leave them out')
    if labels.dtype.kind == 'O':
        labels = labels.astype(str)
    classes, number = np.unique(labels, return_inverse=True)
    return classes, number.astype(np.int64)
