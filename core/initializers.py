"""Initial weights that MXNet does not have."""

import math

from core.runtime import mx, nd


@mx.init.register
class TruncatedNormal(mx.init.Initializer):
    """Normal numbers, those beyond two standard deviations drawn again.

    Parameters
    ----------
    size : float; the variance of what remains is size / fan_in
    std : float or None; if given, the standard deviation before cutting (which takes 12 % of it) instead

    Source: TensorFlow 1. contrib.layers.variance_scaling_initializer has size 2 and multiplies by 1.3 for the cut (He
    et al. 2015); variance_scaling_initializer has size 1; truncated_normal_initializer takes std.
    """

    def __init__(self, size=2.0, std=None):
        super().__init__(size=size, std=std)
        self.size, self.std = size, std

    def _init_weight(self, name, array):
        fan_in = array.size // array.shape[0]
        std = self.std or math.sqrt(1.3 * self.size / fan_in)
        within = math.erf(2 / math.sqrt(2))                       # share of a normal within two deviations
        uniform = nd.random.uniform(-within, within, shape=array.shape)
        array[:] = math.sqrt(2) * std * nd.erfinv(uniform)
