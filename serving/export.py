"""A trained network as a file that needs no MXNet (ONNX), or no program of ours (a symbol, plain arrays)."""

import json
import pathlib
import tempfile
import warnings

import numpy as np

from core import __version__
from core.errors import UserError, pick
from core.files import open_atomic, write_atomic, write_json
from core.gluon_internals import has_data, named_parameters, on_cpu, onnx_converter
from core.runtime import mx, nd
from serving.onnx_graph import OPSET, tidy

TOLERANCE = 1e-5              # largest difference between the exported and the Gluon network, of unit-length embeddings


def for_inference(net):
    """Take apart in `net` what only training or MXNet on a CPU needs. Returns net."""
    net.settle()
    net.fuse(False)
    bottleneck = getattr(net.head, 'bottleneck', None)
    if bottleneck is not None:
        bottleneck.tracks = False
        warnings.filterwarnings('ignore', message='.*is not used by any computation', module='mxnet.gluon.block')
    net.hybridize(static_alloc=True)
    return net


def graph_of(net) -> tuple:
    """(mx.Symbol image -> embedding, {name of argument or auxiliary state: NDArray on the CPU})."""
    symbol = for_inference(net)(mx.sym.var('image', dtype='uint8')).embedding
    wanted = set(symbol.list_arguments()) | set(symbol.list_auxiliary_states())
    return symbol, {param.name: on_cpu(param) for param in net.collect_params().values()
                    if param.name in wanted and has_data(param)}


def metadata(net, run=None, precision='float32') -> dict:
    """{key: text}: what an engine needs to know, and the data of the run.

    Parameters
    ----------
    run : dict that JSON can hold: loss, data, epoch, figures, commit ... of the training
    """
    return {'dim': str(net.describe()['embed_dim'] or ''), 'image_size': str(net.size), 'transform': net.transform,
            'model_hash': net.fingerprint(), 'precision': precision, 'gluon_dml': __version__,
            'description': json.dumps(net.describe(), sort_keys=True),
            'run': json.dumps(run or {}, sort_keys=True, default=str)}


def to_onnx(net, run=None):
    """The network as an onnx.ModelProto: uint8 (N, S, S, 3) -> float32 (N, D), preprocessing and L2 inside."""
    import onnx
    _teach_exporter()
    symbol, params = graph_of(net)
    shape = (net.size, net.size, 3)
    onnx.checker.DEFAULT_CONTEXT.opset_imports = {'': OPSET}      # by which the exporter checks what it wrote
    with tempfile.TemporaryDirectory() as folder:
        file = str(pathlib.Path(folder, 'net.onnx'))
        try:
            mx.onnx.export_model(symbol, params, [(1, *shape)], np.uint8, file, dynamic=True,
                                 dynamic_input_shapes=[('N', *shape)])
        except (AttributeError, NotImplementedError, KeyError) as error:
            raise UserError(f'--backbone={net.backbone} cannot be exported to ONNX by MXNet: {error}. Fix: '
                            '--format=symbol or --format=npz') from error
        exported = onnx.load(file)
    _, outputs, _ = symbol.infer_shape(image=(1, *shape))
    model = tidy(exported, shape, int(outputs[0][1]))
    onnx.helper.set_model_props(model, dict(metadata(net, run), dim=str(outputs[0][1])))
    return model


def difference(net, file, batch) -> float:
    """Largest difference between ONNX Runtime's and Gluon's embeddings of a batch, in units of the longest embedding.

    Parameters
    ----------
    file : path of the exported file
    batch : uint8 (n, S, S, 3), already through the test view
    """
    from serving.engines import ONNXRuntime
    ours = net(nd.array(batch, ctx=net.offset.list_ctx()[0], dtype='uint8')).embedding.asnumpy()
    theirs = ONNXRuntime(file).forward(batch)
    return float(np.abs(ours - theirs).max() / max(np.linalg.norm(ours, axis=1).max(), 1e-12))


def export_onnx(net, output, batch, run=None) -> float:
    """Write `output`, if ONNX Runtime and Gluon agree on `batch`.

    Returns
    -------
    the largest difference

    Raises
    ------
    UserError : they differ by more than TOLERANCE; no file is left
    """
    model = to_onnx(net, run)
    aside = pathlib.Path(f'{output}.new.onnx')
    write_atomic(aside, model.SerializeToString())
    try:
        apart = difference(net, aside, batch)
        if not apart <= TOLERANCE:
            raise UserError(f'ONNX Runtime and MXNet differ by {apart:.2g} on {len(batch)} pictures, more than '
                            f'{TOLERANCE:g}: nothing is written. Fix: --format=symbol, and report the backbone '
                            f'{net.backbone}')
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)
    return apart


def export_symbol(net, output, run=None) -> list:
    """Write OUTPUT-symbol.json and OUTPUT-0000.params (gluon.SymbolBlock.imports reads them) and OUTPUT.json."""
    symbol, params = graph_of(net)
    stem = str(output)
    arrays = {('aux:' if name in symbol.list_auxiliary_states() else 'arg:') + name: array
              for name, array in params.items()}
    write_atomic(f'{stem}-symbol.json', symbol.tojson())
    with open_atomic(f'{stem}-0000.params', 'wb') as file:
        nd.save(file.name, arrays)
    write_json(f'{stem}.json', metadata(net, run))
    return [f'{stem}-symbol.json', f'{stem}-0000.params', f'{stem}.json']


def export_npz(net, output, run=None) -> list:
    """Write an .npz file: every parameter under its name in the network, and `__metadata__`, a JSON text."""
    arrays = {name: on_cpu(param).asnumpy() for name, param in named_parameters(net).items()}
    with open_atomic(output, 'wb') as file:
        np.savez(file, __metadata__=np.array(json.dumps(metadata(net, run), sort_keys=True)), **arrays)
    return [str(output)]


FORMATS = {'onnx': '.onnx', 'symbol': '', 'npz': '.npz'}


def export(net, output, kind: str, batch=None, run=None) -> tuple:
    """Export `net` as `kind`; returns (names of the files, largest difference or None).

    Parameters
    ----------
    output : path; for `symbol` the beginning of the names
    kind : 'onnx', 'symbol' or 'npz'
    batch : for 'onnx': uint8 (n, S, S, 3), real pictures on which both networks must agree
    run : see metadata
    """
    pick('--format', kind, FORMATS)
    if kind == 'onnx':
        return [str(output)], export_onnx(net, output, batch, run)
    return (export_symbol if kind == 'symbol' else export_npz)(net, output, run), None


def _teach_exporter():
    """Converters of operators that MXNet's exporter lacks."""
    @onnx_converter('L2Normalization')
    def rows_of_length_one(name, inputs, attributes, constant):
        from onnx.helper import make_node
        if attributes.get('mode', 'instance') != 'instance':
            raise NotImplementedError('L2Normalization over channels')
        axis = constant(f'{name}_axis', np.array([1], np.int64))
        eps = constant(f'{name}_eps', np.array([float(attributes.get('eps', 1e-10))], np.float32))
        return [make_node('Mul', [inputs[0], inputs[0]], [f'{name}_squares']),
                make_node('ReduceSum', [f'{name}_squares', axis], [f'{name}_sum'], keepdims=1),
                make_node('Add', [f'{name}_sum', eps], [f'{name}_guarded']),
                make_node('Sqrt', [f'{name}_guarded'], [f'{name}_length']),
                make_node('Div', [inputs[0], f'{name}_length'], [name], name=name)]

    @onnx_converter('rsqrt')
    def inverse_root(name, inputs, attributes, constant):
        from onnx.helper import make_node
        return [make_node('Sqrt', inputs, [f'{name}_root']),
                make_node('Reciprocal', [f'{name}_root'], [name], name=name)]

    @onnx_converter('reverse')
    def backwards(name, inputs, attributes, constant):
        from onnx.helper import make_node
        axis = int(attributes['axis'].strip('()[], '))
        bounds = [constant(f'{name}_{part}', np.array([value], np.int64)) for part, value in (
            ('first', -1), ('last', np.iinfo(np.int64).min), ('axis', axis), ('step', -1))]
        return [make_node('Slice', [*inputs, *bounds], [name], name=name)]
