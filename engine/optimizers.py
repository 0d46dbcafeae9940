"""Optimizers by name, with the constants of the frameworks that the originals were written in."""

from core.errors import UserError
from core.runtime import mx, nd

OPTIMIZERS = ('adam', 'sgd', 'nag', 'rmsprop', 'adagrad', 'adadelta', 'adamax', 'nadam')


@mx.optimizer.register
class TFRMSProp(mx.optimizer.Optimizer):
    """RMSProp with momentum, as TensorFlow 1 defines it.

    s = decay * s + (1 - decay) * g^2, starting at s = 1;  v = momentum * v + lr * g / sqrt(s + epsilon);  w -= v

    MXNet's own RMSProp has no momentum in its plain form and starts at s = 0. Source: Hinton's lecture 6e; the
    Heated-Up Softmax original uses decay 0.9, momentum 0.9 and epsilon 1.
    """

    def __init__(self, learning_rate=1e-4, decay=0.9, momentum=0.9, epsilon=1.0, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.decay, self.momentum, self.epsilon = decay, momentum, epsilon

    def create_state(self, index, weight):
        """(s, v) of one weight."""
        return nd.ones_like(weight), nd.zeros_like(weight)

    def update(self, index, weight, grad, state):
        """One step on one weight."""
        self._update_count(index)
        square, velocity = state
        grad = grad * self.rescale_grad + self._get_wd(index) * weight
        square[:] = self.decay * square + (1.0 - self.decay) * grad * grad
        velocity[:] = self.momentum * velocity + self._get_lr(index) * grad / nd.sqrt(square + self.epsilon)
        weight[:] = weight - velocity


def settings(args, own=None):
    """--optim, --lr, --wd, --momentum and the paper's constants -> (MXNet name, keyword arguments).

    own : {optimizer: {constant: value}} where the paper's optimizer is not MXNet's
    """
    name = args.optim.lower()
    if name not in OPTIMIZERS:
        raise UserError('--optim={} is unknown. Legal values: {}'.format(args.optim, ', '.join(OPTIMIZERS)))
    constants = {'learning_rate': args.lr, 'wd': args.wd}
    if name in ('sgd', 'nag'):
        constants['momentum'] = args.momentum
    constants.update((own or {}).get(name, {}))
    if args.epsilon is not None and name in ('adam', 'rmsprop', 'adagrad', 'nadam'):
        constants['epsilon'] = args.epsilon
    if name == 'rmsprop' and 'epsilon' in constants and 'momentum' in constants:
        name = 'tfrmsprop'
    return name, constants
