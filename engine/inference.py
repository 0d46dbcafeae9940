"""The one forward loop: embeddings, pooled features and logits of all images of a split."""

import numpy as np
from tqdm import tqdm

from core.errors import UserError
from core.gluon_internals import to_device
from datasets.loader import sequential


def run(net, loader, outputs, batch_size=100, ctx=None, desc='', progress=False):
    """What `outputs` makes of every image of `loader.split`.

    Parameters
    ----------
    net : EmbeddingNet, or a callable: uint8 NDArray (n, S, S, 3) -> Out
    loader : datasets.loader.Loader of the split, with the transform of evaluation
    outputs : callable(image NDArray (n, S, S, 3)) -> tuple of NDArrays, each with n rows
    batch_size : images in a batch
    ctx : MXNet context of the network; None: the default one
    desc, progress : name of the bar, and whether there is one (on a terminal)

    Returns
    -------
    list of float32 arrays (N, ...), in the order of the split

    Raises
    ------
    UserError : the split is empty
    """
    count = len(loader.split)
    if not count:
        raise UserError('there is no image to embed. Fix: another folder or data set')
    arrays, waiting = None, None

    def collect():
        nonlocal arrays
        index, found = waiting
        found = [array.asnumpy() for array in found]
        if arrays is None:
            arrays = [np.empty((count, *array.shape[1:]), dtype=np.float32) for array in found]
        for whole, part in zip(arrays, found):
            whole[index] = part
    with tqdm(total=count, desc=desc, unit='image', disable=None if progress else True) as bar:
        for plan, batch in zip(plans := sequential(count, batch_size), loader(plans)):
            found = outputs(to_device(batch.image, ctx, batch.image.dtype))
            if waiting:    # fetched one batch later, so that the device never waits for the host
                collect()
            waiting = plan.index, found
            bar.update(len(plan.index))
        collect()
    return arrays


def embeddings(net, loader, batch_size=100, ctx=None, progress=False):
    """float32 (N, D) embeddings of `loader.split`, in its order; parameters as in `run`."""
    return run(net, loader, lambda image: (net(image).embedding,), batch_size, ctx, 'embed', progress)[0]


def features(net, loader, batch_size=100, ctx=None, progress=False):
    """float32 (N, F): the globally averaged last map of the trunk, that is the network without its head."""
    return run(net, loader, lambda image: (net.pooled(image),), batch_size, ctx, 'features', progress)[0]


def maps(net, first, loader, batch_size=100, ctx=None, progress=False):
    """float32 (N, C, H, W): the map behind the first `first` blocks of the trunk."""
    return run(net, loader, lambda image: (net.behind(image, first),), batch_size, ctx, 'maps', progress)[0]


def logits(net, criterion, loader, batch_size=100, ctx=None, progress=False):
    """(embeddings (N, D), scores (N, C) of the criterion's own classifier) of `loader.split`."""
    def both(image):
        out = net(image)
        return out.embedding, criterion.logits(out)
    return tuple(run(net, loader, both, batch_size, ctx, 'classify', progress))
