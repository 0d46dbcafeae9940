"""Pictures as a user hands them over (files, arrays) -> batches as a network takes them. Needs no MXNet."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from core.errors import UserError
from datasets.pictures import read_image


def as_list(images) -> list:
    """Paths and arrays one by one.

    Parameters
    ----------
    images : a path; a list of paths; uint8 (H, W, 3) or (H, W); uint8 (n, H, W, 3); or a list of such arrays

    Raises
    ------
    UserError : something else

    Example
    -------
    >>> len(as_list('a.jpg')), len(as_list(['a.jpg', 'b.jpg'])), len(as_list(np.zeros((4, 8, 8, 3), np.uint8)))
    (1, 2, 4)
    """
    if isinstance(images, (str, os.PathLike)):
        return [images]
    if isinstance(images, np.ndarray) and images.dtype.kind not in 'OUS':
        return list(images) if images.ndim == 4 else [images]
    try:
        return list(images)
    except TypeError:
        raise UserError(f'{type(images).__name__} is neither a path nor a picture. Fix: a path, a list of paths, or '
                        'uint8 arrays (H, W, 3)') from None


def picture(item) -> np.ndarray:
    """uint8 (H, W, 3) RGB of a path or an array. Raises BadImage for a file, UserError for an array of another kind."""
    if isinstance(item, (str, os.PathLike)):
        return read_image(os.fspath(item))
    array = np.asarray(item)
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise UserError(f'a picture is uint8 (H, W, 3), RGB, but this one is {array.dtype} {np.shape(item)}. '
                        'Fix: an array as cv2 or Pillow gives it')
    return array


def embedded(images, transform, forward, dim: int, batch_size: int = 32) -> np.ndarray:
    """Embeddings of pictures, in their order: what `Embedder` and every serving engine do.

    Parameters
    ----------
    images : as for `as_list`; pictures of any size
    transform : test view of datasets.transforms
    forward : function uint8 (n, S, S, 3) -> float32 (n, D)
    dim : D
    batch_size : pictures in a forward pass

    Returns
    -------
    float32 (n, D)

    Raises
    ------
    UserError : a file that cannot be read (named), or an array of another kind

    Example
    -------
    >>> picture = np.full((5, 7, 3), 2, np.uint8)
    >>> embedded([picture] * 3, lambda image, rng: image, lambda batch: batch.mean(axis=(1, 2)), 3).shape
    (3, 3)
    """
    parts = [forward(batch) for batch in batches(images, transform, batch_size)]
    return np.concatenate(parts) if parts else np.zeros((0, dim), np.float32)


def batches(images, transform, batch_size: int = 32, workers: int = 0) -> Iterator[np.ndarray]:
    """uint8 (n, S, S, 3), n <= batch_size, in the order of `images`; the next batch is read while one is used.

    Parameters
    ----------
    images : as for `as_list`
    transform : test view of datasets.transforms
    workers : threads that read; 0: one for each processor
    """
    items = as_list(images)

    def view(item):
        rng = np.random.RandomState(0)                         # test views draw nothing that they use
        shared = (transform.draw_batch(rng),) if hasattr(transform, 'draw_batch') else ()
        return transform(picture(item), rng, *shared)
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        waiting = None
        for start in range(0, len(items), batch_size):
            following = [pool.submit(view, item) for item in items[start:start + batch_size]]
            if waiting:
                yield np.stack([future.result() for future in waiting])
            waiting = following
        if waiting:
            yield np.stack([future.result() for future in waiting])
