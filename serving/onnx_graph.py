"""The graph that MXNet's exporter writes, made into the one that is served.

MXNet lists every weight as an input of the graph, so that ONNX Runtime may not fold constants (16 against 27 images a
second), and leaves BatchNorm behind every convolution. Here weights are constants, BatchNorm is folded into the
convolution or dense layer before it, and nodes that do nothing are gone.
"""

from collections import Counter

import numpy as np

OPSET, IR_VERSION = 13, 8     # of the operators that MXNet's exporter writes, and the file format of that time


def tidy(model, shape, dim):
    """A new onnx.ModelProto with one input `image` and one output `embedding`.

    Parameters
    ----------
    model : onnx.ModelProto of MXNet's exporter
    shape : (S, S, 3) of one picture, uint8
    dim : length of an embedding
    """
    from onnx import TensorProto, checker, helper, numpy_helper
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = _without_identities(list(model.graph.node), model.graph.output[0].name)
    nodes = _fold_norms(nodes, constants)
    nodes[-1].output[0] = 'embedding'
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes, 'embedding',
        [helper.make_tensor_value_info('image', TensorProto.UINT8, ['N', *shape])],
        [helper.make_tensor_value_info('embedding', TensorProto.FLOAT, ['N', dim])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name)
         for name, array in constants.items() if name in used])
    tidied = helper.make_model(graph, opset_imports=[helper.make_opsetid('', OPSET)], producer_name='gluon-dml')
    tidied.ir_version = IR_VERSION
    checker.check_model(tidied)
    return tidied


def _without_identities(nodes, last):
    """The nodes that `last` needs, without Identity (what dropout became)."""
    replaced, kept = {}, []
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = replaced.get(name, name)
        if node.op_type == 'Identity':
            replaced[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    needed, chosen = {replaced.get(last, last)}, []
    for node in reversed(kept):
        if needed & set(node.output):
            needed |= set(node.input)
            chosen.append(node)
    return chosen[::-1]


def _fold_norms(nodes, constants):
    """Fold y = (x - mean) gamma / sqrt(variance + eps) + beta into the layer that made x and has no other user."""
    uses = Counter(name for node in nodes for name in node.input)
    makers = {node.output[0]: node for node in nodes}
    kept = []
    for node in nodes:
        layer = makers.get(node.input[0]) if node.op_type == 'BatchNormalization' else None
        if layer is None or uses[node.input[0]] != 1 or not _foldable(layer, constants, uses):
            kept.append(node)
            continue
        gamma, beta, mean, variance = (constants[name].astype(np.float64) for name in node.input[1:5])
        eps = next((a.f for a in node.attribute if a.name == 'epsilon'), 1e-5)
        scale = gamma / np.sqrt(variance + eps)
        weight = constants[layer.input[1]].astype(np.float64)
        bias = constants[layer.input[2]].astype(np.float64) if len(layer.input) > 2 else 0.0
        constants[layer.input[1]] = (weight * scale.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
        name = layer.output[0] + '_folded_bias'
        constants[name] = ((bias - mean) * scale + beta).astype(np.float32)
        inputs = [layer.input[0], layer.input[1], name]
        del layer.input[:]
        layer.input.extend(inputs)
        del makers[layer.output[0]]
        layer.output[0] = node.output[0]
        makers[node.output[0]] = layer
    return kept


def _foldable(layer, constants, uses):
    """Whether a layer's weight is a constant of its own with the outputs along its first axis."""
    if layer.op_type not in ('Conv', 'Gemm') or layer.input[1] not in constants or uses[layer.input[1]] != 1:
        return False
    if len(layer.input) > 2 and layer.input[2] not in constants:
        return False
    attributes = {a.name: a for a in layer.attribute}
    if layer.op_type == 'Conv':
        return True
    plain = all(attributes[name].f == 1.0 for name in ('alpha', 'beta') if name in attributes)
    return plain and 'transB' in attributes and attributes['transB'].i == 1
