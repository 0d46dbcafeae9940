"""What Gluon has no public name for. Every use of a private member of MXNet stands in this file."""

from __future__ import annotations

import atexit
import functools
import sys
from collections.abc import Callable
from typing import Any

from core.runtime import gluon, nd


def skip_shutdown() -> None:
    """Let the process end without MXNet's farewell, which raises what an operator raised before (too little memory)."""
    base = sys.modules.get('mxnet.base')
    if base is not None:
        atexit.unregister(base._notify_shutdown)


def named_parameters(block) -> dict[str, gluon.Parameter]:
    """{name in a parameter file: Parameter}, such as {'trunk.0.weight': ...}, in the order of the layers."""
    return block._collect_params_with_prefix()


def own_parameters(block) -> dict[str, gluon.Parameter]:
    """{attribute: Parameter} of a HybridBlock itself, without those of the blocks inside it."""
    return getattr(block, '_reg_params', {})


def children(block) -> list[gluon.Block]:
    """The blocks inside `block`, in the order in which they were made."""
    return list(block._children.values())


def named_children(block) -> dict[str, gluon.Block]:
    """{name: block inside `block`}; a copy, so `replace_child` may be called while going through it."""
    return dict(block._children)


def replace_child(block, name: str, child) -> None:
    """Put `child` where the child called `name` stands. Attributes that point at the old one are left."""
    block._children[name] = child


def has_data(param) -> bool:
    """Whether a Parameter (or Constant) holds an array already."""
    return param._data is not None


def has_fresh_gradient(param) -> bool:
    """Whether a backward pass reached a Parameter since its last update: gluon.Trainer leaves the others alone."""
    return all(data._fresh_grad for data in param.list_data())


def on_cpu(param) -> nd.NDArray:
    """The mean of a Parameter over its devices, on the CPU: what save_parameters writes."""
    return param._reduce()


def to_device(source, ctx=None, dtype: str = 'float32') -> nd.NDArray:
    """What `nd.array(source, ctx, dtype)` gives, in a third of its time: several are made for every update.

    source : array-like, not empty. NumPy is imported here, because main.py says with this file that it is missing
    """
    import numpy as np

    source = np.ascontiguousarray(source, dtype=dtype)
    array = nd.empty(source.shape, ctx=ctx, dtype=source.dtype)
    array._sync_copyfrom(source)
    return array


def options(layer) -> dict[str, Any]:
    """The operator's arguments of a Gluon layer (Conv2D, BatchNorm, pooling); changing them changes the layer."""
    return layer._kwargs


def activation(layer) -> str:
    """Name of the function of an nn.Activation, such as 'relu'."""
    return layer._act_type


def forget_trace(block) -> None:
    """Let a hybridized block be traced anew at its next call."""
    block._clear_cached_op()


def parameters_of(trainer) -> list[gluon.Parameter]:
    """The parameters of a gluon.Trainer, in the order of its states."""
    return trainer._params


def gluoncv2_models() -> dict[str, Any]:
    """{name: function} of the zoo gluoncv2, which publishes no list."""
    from gluoncv2 import model_provider
    return model_provider._models


def NamedSymbolBlock(output, data, net) -> gluon.SymbolBlock:
    """A SymbolBlock whose parameters have the names of `named_parameters(net)` instead of those of its graph."""
    return _named_symbol_block()(output, data, net)


@functools.lru_cache(maxsize=1)
def _named_symbol_block():
    """The class behind it, made at the first use: only then is MXNet imported."""
    class NamedSymbolBlock(gluon.SymbolBlock):
        def __init__(self, output, data, net):
            super().__init__(output, data, params=net.collect_params())
            used = {id(param) for param in self.collect_params().values()}
            self._names = {name: param for name, param in named_parameters(net).items() if id(param) in used}

        def _collect_params_with_prefix(self, prefix=''):
            return {prefix + '.' + name if prefix else name: param for name, param in self._names.items()}
    return NamedSymbolBlock


def updaters_of(trainer) -> list:
    """The Updaters of a gluon.Trainer, one a device, each with `states` {number: NDArray, tuple or None}."""
    if not trainer._kv_initialized:
        trainer._init_kvstore()
    if trainer._params_to_init:
        trainer._init_params()
    return trainer._updaters


def update_counts(optimizer) -> dict[int, dict[int, int]]:
    """{device: {number of a parameter: updates so far}}; the counts of the device in use are `optimizer`'s own."""
    return optimizer._all_index_update_counts


def set_update_counts(optimizer, counts: dict[int, dict[int, int]]) -> None:
    """Put back what `update_counts` gave."""
    optimizer._all_index_update_counts = counts
    optimizer._index_update_count = counts.setdefault(0, {})


def onnx_converter(operator: str) -> Callable:
    """Decorator: teach MXNet's ONNX exporter an operator.

    The function gets (name, inputs, attributes, constant) and returns ONNX nodes, the last of which makes `name`;
    constant(name, array) adds a constant and returns its name. The result is float32.
    """
    def register(function):
        from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph

        def convert(node, outputs_lookup, initializer, **_):
            from onnx import numpy_helper

            def constant(name, array):
                initializer.append(numpy_helper.from_array(array, name))
                return name
            inputs = [outputs_lookup[entry[0]][entry[1]].name for entry in node['inputs']]
            return function(node['name'], inputs, node.get('attrs', {}), constant), ('float32',)
        for version in (12, 13):
            MXNetGraph.register(operator, opset_version=version)(convert)
        return function
    return register
