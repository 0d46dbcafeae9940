"""A warning when weight decay drowns the loss: losses scale their gradients differently, and --wd does not know it."""

from __future__ import annotations

import math

from core.gluon_internals import has_fresh_gradient, parameters_of
from core.runtime import nd

UPDATES, EVERY = 100, 10        # the updates that are looked at, and every which of them
# MXNet's Adadelta and AdaGrad take wd * weight off the weight beside the scaled gradient: the two cannot be compared
DECOUPLED = ('adadelta', 'adagrad')


class DecayWatch:
    """Compares two norms over the weights that the network's optimizer moves: the loss's gradient as the optimizer sees
    it (rescaled and clipped), and what weight decay adds to it, wd * weight.

    Parameters
    ----------
    update : engine.update.Update
    """

    def __init__(self, update):
        self.trainer, self.adds = update.trainers[0], update.names[0] not in DECOUPLED
        self.joined = update.workers.size > 1    # each device then has the gradient of all
        self.seen, self.open = [], True

    def look(self, number, n):
        """Before the update `number` (from 1), whose gradient is divided by n: measure it if it is one of the few."""
        if self.open and self.adds and number <= UPDATES and number % EVERY == 1:
            self.seen.append(self.norms(n))
        if number >= UPDATES:
            self.report()

    def norms(self, n):
        """(norm of the gradient, norm of the decay term)."""
        optimizer = self.trainer.optimizer
        gradients, decay = [], 0.0
        for parameter in parameters_of(self.trainer):
            if parameter.grad_req == 'null' or not parameter.lr_mult or not has_fresh_gradient(parameter):
                continue
            parts = parameter.list_grad()[:1 if self.joined else None]
            parts = [part.as_in_context(parameter.list_ctx()[0]) for part in parts]
            gradient = parts[0] if len(parts) == 1 else nd.add_n(*parts)
            if optimizer.clip_gradient is not None:
                gradient = nd.clip(gradient / n, -optimizer.clip_gradient, optimizer.clip_gradient) * n
            gradients.append(gradient)
            decay += (optimizer.wd * parameter.wd_mult * norm([parameter.list_data()[0]])) ** 2
        return norm(gradients) / n, math.sqrt(decay)

    def report(self):
        """Warn once, if over the updates seen the decay term was the larger one on average."""
        if self.open and self.seen:
            gradient, decay = (sum(norms) / len(norms) for norms in zip(*self.seen))
            if decay > gradient:
                print(warning(self.trainer.optimizer.wd, gradient, decay), flush=True)
        self.open = False


def norm(arrays) -> float:
    """Euclidean norm of all numbers of a list of NDArrays."""
    if not arrays:
        return 0.0
    return math.sqrt(float(nd.multi_sum_sq(*arrays, num_arrays=len(arrays)).sum().asscalar()))


def warning(wd, gradient, decay) -> str:
    """The sentence for a decay term larger than the gradient.

    >>> warning(5e-4, 0.002, 0.05).partition('Fix: ')[2]
    'a smaller --wd, such as 1e-06, or 0'
    """
    fix = '--wd=0'
    if gradient > 0:
        # a tenth of the gradient, as a power of ten
        fix = f'a smaller --wd, such as {10 ** math.floor(math.log10(wd * gradient / decay / 10)):.0e}, or 0'
    return (f'warning: over the first updates weight decay is stronger than the loss: --wd={wd:g} adds a term of norm '
            f'{decay:.3g} to a gradient of norm {gradient:.3g}, so that weights shrink rather than learn. Fix: {fix}')
