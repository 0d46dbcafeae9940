"""Checks the suite against recorded vectors: `python3 -m tests.reference DIR`.

A module per paper holds FAMILIES = {prefix: check}: `check(case)` recomputes what the file records and raises
`Difference`. Optional there: NOTES = {prefix: text} says where we differ from the original on purpose, and
OWNS = {prefix: predicate(case)} tells the paper's files from another paper's of the same prefix in a flat folder.
"""

import json

import numpy as np

PAPERS = ('embedding_expansion', 'heated_up_softmax', 'deep_embedding', 'ranking_regularizer', 'local_sampling', 'hdc',
          'trajectory')


class Difference(AssertionError):
    """What was computed is not what was recorded."""


class Case:
    """One recorded file.

    Attributes
    ----------
    name : file name without .npz
    arrays : dict key -> array, everything but param_json
    params : dict, the hyper-parameters and seeds of param_json
    compared : set of the keys that a check has compared
    """

    def __init__(self, path):
        self.name = path.stem
        with np.load(str(path), allow_pickle=False) as loaded:
            self.arrays = {key: loaded[key] for key in loaded.files}
        text = self.arrays.pop('param_json', None)
        self.params = {} if text is None else json.loads(str(text.reshape(-1)[0]))
        self.compared = set()

    def __getitem__(self, key):
        return self.arrays[key]

    def __contains__(self, key):
        return key in self.arrays

    def close(self, key, value, rtol=1e-5, atol=1e-5):
        """Compare values, losses and logits; atol is a number or an array, element by element.

        Skips a key that the file does not hold. NaN equals NaN.
        """
        if key not in self.arrays:
            return
        self.compared.add(key)
        recorded = np.asarray(self.arrays[key], np.float64)
        value = np.asarray(_numpy(value), np.float64)
        if recorded.size != value.size:
            raise Difference(f'{key}: shape {recorded.shape} recorded, {value.shape} computed')
        recorded, value, atol = recorded.reshape(-1), value.reshape(-1), np.reshape(atol, -1)
        wrong = ~np.isclose(value, recorded, rtol=rtol, atol=atol, equal_nan=True)
        if wrong.any():
            worst = int(np.flatnonzero(wrong)[np.argmax(np.nan_to_num(np.abs(value - recorded)[wrong], nan=np.inf))])
            raise Difference(f'{key}: {int(wrong.sum())} of {wrong.size} numbers differ, such as element {worst}: '
                             f'{float(recorded[worst])!r} recorded, {float(value[worst])!r} computed')

    def close_gradient(self, key, value, rtol=1e-4, atol=1e-5):
        """Compare gradients; atol is a share of the largest recorded entry."""
        if key not in self.arrays:
            return
        recorded = np.abs(self.arrays[key])
        top = recorded[np.isfinite(recorded)].max(initial=0.0)
        self.close(key, value, rtol=rtol, atol=atol * (top if top > 0 else 1.0))

    def equal(self, key, value):
        """Compare metrics, labels and indices: exact up to 1e-12."""
        self.close(key, value, rtol=1e-12, atol=1e-12)


def variable(array):
    """A float32 NDArray that collects a gradient."""
    from core.runtime import nd
    x = nd.array(array, dtype='float32')
    x.attach_grad()
    return x


def _numpy(value):
    return value.asnumpy() if hasattr(value, 'asnumpy') else value
