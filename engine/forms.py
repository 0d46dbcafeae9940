"""Optimizers as other frameworks define them, and how one is made by name."""

from core.runtime import mx, nd


def create(name, constants):
    """The mx.optimizer.Optimizer `name`, MXNet's or of this file, with its constants."""
    return mx.optimizer.create({'adamax': 'safeadamax'}.get(name, name), **constants)


class Form(mx.optimizer.Optimizer):
    """An optimizer as another framework defines it; `gradient` is what MXNet's own do before they use one."""

    def gradient(self, index, weight, grad):
        """grad rescaled, clipped to +-clip_gradient, plus wd * weight."""
        grad = grad * self.rescale_grad
        if self.clip_gradient is not None:
            grad = nd.clip(grad, -self.clip_gradient, self.clip_gradient)
        return grad + self._get_wd(index) * weight


@mx.optimizer.register
class TFMomentum(Form):
    """SGD with momentum as TensorFlow defines it: a = momentum * a + g;  w -= lr * a.

    MXNet folds the rate in (a = momentum * a - lr * g;  w += a), which is the same as long as the rate stays: here a
    new rate also acts on the velocity that is there. Source: tf.train.MomentumOptimizer.
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum = momentum

    def create_state(self, index, weight):
        """a of one weight."""
        return nd.zeros_like(weight)

    def update(self, index, weight, grad, state):
        """One step on one weight."""
        self._update_count(index)
        state *= self.momentum
        state += self.gradient(index, weight, grad)
        weight -= self._get_lr(index) * state


@mx.optimizer.register
class TFRMSProp(Form):
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
        grad = self.gradient(index, weight, grad)
        square[:] = self.decay * square + (1.0 - self.decay) * grad * grad
        velocity[:] = self.momentum * velocity + self._get_lr(index) * grad / nd.sqrt(square + self.epsilon)
        weight[:] = weight - velocity


class Moments(Form):
    """A form with two running numbers for each weight: of the gradient, and of its size."""

    def __init__(self, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def create_state(self, index, weight):
        """Both, of one weight."""
        return nd.zeros_like(weight), nd.zeros_like(weight)


@mx.optimizer.register
class TorchAdam(Moments):
    """Adam as PyTorch has it since 1.3: epsilon is added after the bias correction of the second moment.

    w -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)

    MXNet, TensorFlow and the older PyTorch add it before. Source: Kingma and Ba, algorithm 1 (ICLR 2015).
    """

    def update(self, index, weight, grad, state):
        """One step on one weight."""
        self._update_count(index)
        t = self._index_update_count[index]
        mean, square = state
        grad = self.gradient(index, weight, grad)
        mean[:] = self.beta1 * mean + (1.0 - self.beta1) * grad
        square[:] = self.beta2 * square + (1.0 - self.beta2) * grad * grad
        below = nd.sqrt(square) / (1.0 - self.beta2 ** t) ** 0.5 + self.epsilon
        weight -= self._get_lr(index) / (1.0 - self.beta1 ** t) * mean / below


@mx.optimizer.register
class SafeAdamax(Moments):
    """Adamax whose denominator never vanishes: u = max(beta2 u, |g| + epsilon);  w -= lr / (1 - beta1^t) m / u.

    MXNet's own has no epsilon: a weight whose gradient was 0 so far (behind a ReLU that never opened) becomes 0 / 0.
    Source: Kingma and Ba, Adam (ICLR 2015), algorithm 2, with the epsilon of torch.optim.Adamax.
    """

    def __init__(self, learning_rate=0.002, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)

    def update(self, index, weight, grad, state):
        """One step on one weight."""
        self._update_count(index)
        mean, largest = state
        grad = self.gradient(index, weight, grad)
        mean[:] = self.beta1 * mean + (1.0 - self.beta1) * grad
        largest[:] = nd.maximum(self.beta2 * largest, nd.abs(grad) + self.epsilon)
        weight -= self._get_lr(index) / (1.0 - self.beta1 ** self._index_update_count[index]) * mean / largest
