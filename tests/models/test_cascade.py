"""The head `hdc` against the released HDC networks."""

import numpy as np
import pytest

from core.runtime import autograd, nd
from models import heads


def test_cascade_has_the_released_layers_start_and_weights():
    head = heads.get_head('hdc', 384, [128, 128, 128], 'caffe_uniform', weights=[1, 2, 3])
    head.initialize()
    maps = [nd.random.normal(shape=(1, channels, side, side)) for channels, side in ((512, 14), (528, 14), (1024, 7))]
    out = head(*maps).asnumpy()
    shapes = {name.split('head_')[-1]: p.shape for name, p in head.collect_params().items()
              if 'weight' in name and 'level' in name}
    # 14 x 14 maps: average pool 5 x 5 / 3 leaves 4 x 4
    assert sorted(shapes.values()) == sorted([(128, 512, 1, 1), (1024, 128 * 16), (128, 1024), (128, 528, 1, 1),
                                              (1024, 128 * 16), (128, 1024), (128, 1024)])
    for param in head.collect_params('.*level.*weight').values():
        fan_in = np.prod(param.shape[1:])
        values = param.data().asnumpy()
        assert np.abs(values).max() <= (3 / fan_in) ** 0.5 * (1 + 1e-6)
        assert values.std() == pytest.approx(fan_in ** -0.5, rel=0.02)
    np.testing.assert_allclose([np.linalg.norm(out[0, k:k + 128]) for k in (0, 128, 256)], [1, 2, 3], rtol=1e-4)


def test_cascade_weights_are_saved_with_the_parameters(tmp_path):
    maps = [nd.ones((2, 5, 4, 4)), nd.ones((2, 6, 2, 2))]
    head = heads.get_head('hdc', 5, [2, 3], weights=[1, 2])
    head.initialize()
    expected = head(*maps)
    head.save_parameters(str(tmp_path / 'head.params'))
    again = heads.get_head('hdc', 5, [2, 3])
    again.load_parameters(str(tmp_path / 'head.params'))
    assert (again(*maps).asnumpy() == expected.asnumpy()).all()


def test_cascade_drops_out_in_training_alone_and_takes_small_maps():
    head = heads.get_head('hdc', 8, [4, 4])
    head.initialize()
    maps = [nd.random.normal(shape=(2, 5, 3, 3)), nd.random.normal(shape=(2, 6, 1, 1))]
    one, two = head(*maps).asnumpy(), head(*maps).asnumpy()
    assert (one == two).all()
    with autograd.record():
        trained = [head(*maps).asnumpy() for _ in range(2)]
    assert (trained[0] != trained[1]).any()
