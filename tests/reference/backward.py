"""Forward and backward of a criterion on recorded embeddings."""

from core.contracts import Batch, Out
from core.runtime import autograd, gluon, nd


def variable(array):
    """An NDArray that collects a gradient."""
    x = nd.array(array, dtype='float32')
    x.attach_grad()
    return x


def prepare(criterion, **parameters):
    """Initialize, hybridize, and set parameters by attribute name, such as beta=array."""
    criterion.initialize()
    criterion.hybridize()
    for name, value in parameters.items():
        getattr(criterion, name).set_data(nd.array(value))
    return criterion


def through_batch(criterion, embeddings, labels, extra=None):
    """(loss, gradient of its sum by the embeddings), the way the training loop calls a criterion."""
    x = variable(embeddings)
    with autograd.record():
        loss = criterion(Out(x, None), Batch(None, nd.array(labels, dtype='int32'), None, extra))
    loss.backward()
    return loss, x.grad


def through_equation(criterion, embeddings, *rest):
    """As through_batch, but with the inputs of the equation given: `rest` are arrays (indices, masks)."""
    x = variable(embeddings)
    rest = [nd.array(array, dtype=array.dtype) for array in rest]
    with autograd.record():
        loss = gluon.HybridBlock.__call__(criterion, x, *rest)
    loss.backward()
    return loss, x.grad
