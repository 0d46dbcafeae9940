"""A batch that does not fit a device at once: its gradient, chunk by chunk.

A loss that compares images needs the embeddings of the whole batch, but not the network's graph of the whole batch: the
chunks are embedded without a graph, the loss gives its gradient by the embeddings, and every chunk is run once more,
with a graph, to carry its rows of that gradient back. Where no layer mixes images (BatchNorm with fixed statistics) the
sum is the gradient of the whole batch; the price is a second forward pass.
"""

from core.contracts import Out
from core.gluon_internals import options
from core.runtime import autograd, gluon, mx, nd


def mixes(net):
    """Whether a BatchNorm layer of a network takes the statistics of the batch, so that chunks are not the batch."""
    found = []
    net.apply(lambda layer: found.append(layer) if isinstance(layer, gluon.nn.BatchNorm) else None)
    return any(not options(layer).get('use_global_stats') for layer in found)


class Chunks:
    """Embeds a batch and carries a gradient back, `size` images at a time.

    Parameters
    ----------
    forward : callable(image array (n, ...)) -> Out
    size : images in a chunk
    """

    def __init__(self, forward, size):
        self.forward, self.size = forward, size

    def each(self, image, seed):
        """Pairs (rows, chunk). Each chunk has a random stream of its own: dropout is the same in both passes."""
        for number, start in enumerate(range(0, len(image), self.size)):
            rows = slice(start, start + self.size)
            mx.random.seed((seed + number) % (2 ** 31 - 1))
            yield rows, image[rows]

    def embed(self, image, seed):
        """Out of the whole batch, without a graph, whose arrays collect a gradient."""
        outs = []
        with autograd.pause(train_mode=True):
            for _, chunk in self.each(image, seed):
                out = self.forward(chunk)    # copied, because the next call overwrites it
                outs.append(Out(out.embedding.copy(), None if out.feature is None else out.feature.copy()))
            leaves = Out(*(None if arrays[0] is None else nd.concat(*arrays, dim=0) for arrays in zip(*outs)))
        for leaf in leaves:
            if leaf is not None:
                leaf.attach_grad()
        return leaves

    def backward(self, image, seed, leaves):
        """Add the gradient of the parameters, given the leaves with their gradients."""
        for rows, chunk in self.each(image, seed):
            with autograd.record():
                out = self.forward(chunk)
            pairs = [(array, leaf.grad[rows]) for array, leaf in zip(out, leaves) if leaf is not None]
            autograd.backward([array for array, _ in pairs], [gradient for _, gradient in pairs])
            nd.waitall()    # before the next chunk: its memory is this one's
