"""Optimizers by name, with the constants and the forms of the frameworks that the originals were written in."""

from core.errors import UserError

OPTIMIZERS = ('adam', 'sgd', 'nag', 'rmsprop', 'adagrad', 'adadelta', 'adamax', 'nadam', 'tfmomentum', 'tfrmsprop',
              'torchadam')
# what MXNet calls the number that keeps a denominator from 0
EPSILON = {'adam': 'epsilon', 'rmsprop': 'epsilon', 'nadam': 'epsilon', 'adadelta': 'epsilon', 'adagrad': 'eps',
           'tfrmsprop': 'epsilon', 'torchadam': 'epsilon', 'adamax': 'epsilon'}
FLOAT32_MAX = 3.4028235e38
MOMENTUM = ('sgd', 'nag', 'tfmomentum')


def settings(optim='adam', lr=1e-4, wd=0.0, momentum=0.9, epsilon=None, grad_clip=0.0, constants=None):
    """What `engine.update.Update` needs to build an optimizer.

    Parameters
    ----------
    optim : a name of OPTIMIZERS, in any case
    lr, wd : learning rate and weight decay
    momentum : of sgd, nag and tfmomentum
    epsilon : added to the denominator of those that have one; None: the paper's, else the framework's
    grad_clip : gradients are clipped to +-grad_clip; 0: never
    constants : {optimizer: {constant: value}} of a paper; the constant `form` names the optimizer that its framework
        means by this name, such as tfmomentum for sgd

    Returns
    -------
    (name, keyword arguments) for gluon.Trainer

    Raises
    ------
    UserError : an unknown name

    Example
    -------
    >>> settings('SGD', lr=0.1, constants={'sgd': {'form': 'tfmomentum'}})
    ('tfmomentum', {'learning_rate': 0.1, 'wd': 0.0, 'momentum': 0.9})
    """
    name = str(optim).lower()
    if name not in OPTIMIZERS:
        raise UserError(f'--optim={optim} is unknown. Legal values: {", ".join(OPTIMIZERS)}')
    if max(lr, wd) > FLOAT32_MAX:
        raise UserError(f'--lr={lr:g} --wd={wd:g}: the weights are float32, which ends at {FLOAT32_MAX:.1e}. Fix: a '
                        'smaller one')
    values = {'learning_rate': lr, 'wd': wd}
    if name in MOMENTUM:
        values['momentum'] = momentum
    values.update((constants or {}).get(name, {}))
    name = values.pop('form', name)
    if epsilon is not None and name in EPSILON:
        values[EPSILON[name]] = epsilon
    if grad_clip:
        values['clip_gradient'] = grad_clip
    return name, values
