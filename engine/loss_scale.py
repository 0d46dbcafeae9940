"""A factor on the loss: small gradients of a float16 trunk do not vanish with it, and large ones do not overflow."""

from __future__ import annotations

from core.flags import bounded
from core.runtime import nd

START, PATIENCE, SMALLEST, LARGEST = 2.0 ** 16, 2000, 2.0 ** -14, 2.0 ** 24


def kind(text: str) -> str | float:
    """The type of --loss_scale: 'dynamic', or a number that float32 can also divide by."""
    return text if text == 'dynamic' else bounded(float, 1e-6, 1e12)(text)


class LossScale:
    """What the loss is multiplied with before it is back-propagated; the update divides by it again.

    A step whose gradient is not finite is left out. With 'dynamic' the factor is then halved, and doubled after 2,000
    steps without that (Micikevicius et al., Mixed Precision Training, ICLR 2018, section 3.2).

    Parameters
    ----------
    how : 'dynamic', a number that stays, or None: there is no factor and nothing is left out

    Example
    -------
    >>> scale = LossScale('dynamic')
    >>> scale.after(False), scale.value, scale.state()
    (False, 32768.0, {'value': 32768.0, 'good': 0, 'left_out': 1})
    """

    def __init__(self, how: str | float | None = None):
        self.active, self.dynamic = how is not None, how == 'dynamic'
        self.value = START if self.dynamic else float(how or 1)
        self.good = self.left_out = 0

    def passes(self, parameters) -> bool:
        """Whether the gradients of these Parameters, on all devices, may be used; the factor then adapts."""
        return not self.active or self.after(finite([array for p in parameters for array in p.list_grad()]))

    def after(self, good: bool) -> bool:
        """Take note of a step whose gradient was finite, or not. Returns `good`."""
        self.good, self.left_out = (self.good + 1 if good else 0), self.left_out + (not good)
        if self.dynamic and not good:
            self.value = max(self.value / 2, SMALLEST)
        elif self.dynamic and self.good == PATIENCE:
            self.value, self.good = min(2 * self.value, LARGEST), 0
        return good

    def stats(self) -> dict[str, float]:
        """Scalars for the log."""
        return {'loss_scale': self.value, 'steps_left_out': self.left_out} if self.active else {}

    def state(self) -> dict:
        """What a checkpoint keeps."""
        return {'value': self.value, 'good': self.good, 'left_out': self.left_out}

    def restore(self, state: dict) -> None:
        """Go on from state(); a fixed factor is what the flag says."""
        self.good, self.left_out = state['good'], state['left_out']
        self.value = state['value'] if self.dynamic else self.value


def finite(arrays) -> bool:
    """Whether every number of some float32 NDArrays is finite."""
    by_device = {}
    for array in arrays:
        by_device.setdefault(array.context, []).append(array)
    parts = [group[i:i + 100] for group in by_device.values() for i in range(0, len(group), 100)]
    return all(nd.multi_all_finite(*part, num_arrays=len(part)).asscalar() == 1 for part in parts)
