"""Engines: what turns pictures into embeddings. One interface over MXNet, ONNX Runtime and OpenVINO.

An engine of an exported file needs no MXNet: preprocessing and normalisation are inside the file, and its metadata say
which test view its pictures go through.
"""

import importlib.util
import json
import os
import pathlib
import time
from typing import Optional

import numpy as np

from core.errors import UserError, pick
from core.runtime import usable_processors
from datasets import views
from datasets.transforms import get_transform
from serving.onnx_file import read_metadata

PRETRAINED = 'efficientnet_lite0'             # the trunk that is taken when there is no trained network
TOLERANCE = 1e-4                              # of an engine that may be chosen by its speed


class Engine:
    """Pictures in, embeddings out. For one thread at a time.

    Attributes
    ----------
    name : 'mxnet', 'onnxruntime' or 'openvino'
    dim : int, length of an embedding
    head : name of the head (models.heads); 'pooled': the feature of a trunk, which no metric was learned for
    image_size : int, side in pixels of the square that the network sees
    transform : name of the test view (datasets.transforms)
    precision : 'float32', 'bfloat16' or 'int8'
    model_hash : str, the same for the same weights, preprocessing and view, whatever the engine
    """

    name = None
    precision = 'float32'
    head = None

    def __init__(self, dim, image_size, transform, model_hash):
        self.dim, self.image_size, self.transform, self.model_hash = dim, image_size, transform, model_hash
        self.view = get_transform(transform, False, image_size)

    def forward(self, batch: np.ndarray) -> np.ndarray:
        """uint8 (n, S, S, 3) RGB, already through the view -> float32 (n, D)."""
        raise NotImplementedError(f'{type(self).__name__} must define forward')

    def embed(self, images, batch_size: int = 32) -> np.ndarray:
        """float32 (n, D) of a path, a list of paths, or uint8 pictures of any size: see datasets.views.embedded."""
        return views.embedded(images, self.view, self.forward, self.dim, batch_size)

    def describe(self) -> str:
        """One line for people."""
        return (f'{self.name}, {self.precision}, {self.image_size} px through the view {self.transform}, '
                f'{self.dim} numbers, model {self.model_hash[:12]}')


class MXNet(Engine):
    """The Gluon network itself.

    Parameters
    ----------
    net : models.EmbeddingNet
    transform : name of another test view than the one it was saved with, or None
    """

    name = 'mxnet'

    def __init__(self, net, transform=None):
        from models.loading import Embedder
        self.embedder = Embedder(net, transform)
        super().__init__(self.embedder.dim, net.size, self.embedder.transform, net.fingerprint())
        self.head = net.describe()['head']

    def forward(self, batch):
        return self.embedder.forward(batch)


class _File(Engine):
    """An exported .onnx file."""

    def __init__(self, file):
        told = read_metadata(file)
        try:
            super().__init__(int(told['dim']), int(told['image_size']), told['transform'], told['model_hash'])
            self.head = json.loads(told.get('description', '{}')).get('head')
        except (KeyError, ValueError, AttributeError) as error:
            raise UserError(f'{file} was not written by `main.py export`: its metadata lack {error}. Fix: python3 '
                            'main.py export --checkpoint=RUN --format=onnx --output=FILE.onnx') from error
        self.precision = told.get('precision', 'float32')


class ONNXRuntime(_File):
    """An exported file in ONNX Runtime."""

    name = 'onnxruntime'

    def __init__(self, file, threads=None):
        import onnxruntime
        super().__init__(file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_processors()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])
        except Exception as error:      # of several classes, all of its own
            raise UserError(f'{file} cannot be loaded by ONNX Runtime: {_first_line(error)}. '
                            'Fix: export it again') from error

    def forward(self, batch):
        return self.session.run(None, {'image': batch})[0]


class OpenVINO(_File):
    """An exported file in OpenVINO.

    precision : 'float32', or 'bfloat16' for arithmetic in half the bits (fast on processors with AVX512-BF16 or AMX)
    """

    name = 'openvino'

    def __init__(self, file, threads=None, precision=None):
        import openvino
        super().__init__(file)
        self.precision = precision or self.precision
        core = openvino.Core()
        hint = {'bfloat16': 'bf16'}.get(self.precision, 'f32')
        try:
            self.model = core.compile_model(str(file), 'CPU', {
                'INFERENCE_PRECISION_HINT': hint, 'INFERENCE_NUM_THREADS': threads or usable_processors(),
                'PERFORMANCE_HINT': 'LATENCY'})
        except RuntimeError as error:
            raise UserError(f'{file} cannot be loaded by OpenVINO: {_first_line(error)}. '
                            'Fix: export it again, or --engine=onnx') from error

    def forward(self, batch):
        return np.array(self.model(batch)[0], dtype=np.float32)


ENGINES = {'mxnet': MXNet, 'onnxruntime': ONNXRuntime, 'openvino': OpenVINO}


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def installed() -> list:
    """Names of the engines whose packages are installed here."""
    return [name for name in ENGINES if importlib.util.find_spec(name) is not None]


def add_args(group) -> None:
    """Declare the flags of an engine."""
    group.add_argument('--engine', choices=('auto', *ENGINES), default='auto',
                       help='what computes the embeddings; auto: the fastest that is installed and within 1e-4 of '
                            'float32')
    group.add_argument('--precision', choices=('float32', 'bfloat16'), default='float32',
                       help='of the arithmetic; bfloat16 needs --engine=openvino. main.py export says what it costs in '
                            'Recall@1')


def open_engine(source=None, engine: str = 'auto', *, which: str = 'last', precision: str = 'float32',
                backbone: str = PRETRAINED, image_size: Optional[int] = None, threads: Optional[int] = None) -> Engine:
    """The engine of a trained network, of an exported file, or of a pretrained trunk alone.

    Parameters
    ----------
    source : run folder, checkpoint folder or parameter file (MXNet); FILE.onnx (ONNX Runtime or OpenVINO); None: the
        pooled feature of the pretrained `backbone` at `image_size`
    engine : a name in ENGINES, or 'auto': the fastest of those that are installed and within TOLERANCE of float32. A
        run is exported to the user's cache once, so that the engines of files can be tried
    which : 'last' or 'best' checkpoint of a run folder
    precision : 'float32' or 'bfloat16' (OpenVINO alone)
    threads : processors to use; None: all that this process may use

    Raises
    ------
    UserError : nothing there, an engine that is not installed or does not fit the source
    """
    if engine != 'auto':
        pick('--engine', engine, ENGINES)
        if importlib.util.find_spec(engine) is None:
            raise UserError(f'--engine={engine} is not installed here. Fix: pip install {engine}, or one of: '
                            f'{", ".join(installed()) or "none is installed"}')
    if precision != 'float32' and engine not in ('auto', 'openvino'):
        raise UserError(f'--precision={precision} is arithmetic of OpenVINO. Fix: --engine=openvino')
    if source is not None and pathlib.Path(source).suffix == '.onnx':
        return _of_file(pathlib.Path(source), engine, precision, threads)
    network = _network(source, which, backbone, image_size)
    if engine == 'mxnet':
        return network
    file = exported(network)
    if engine != 'auto' or precision != 'float32':
        if file is None:
            raise UserError(f'--engine={engine} runs an exported file, which needs the packages onnx and onnxruntime. '
                            'Fix: pip install onnx==1.16.2 onnxruntime, or --engine=mxnet')
        return _of_file(file, engine, precision, threads)
    return fastest([network] if file is None else [network, *_engines_of(file, threads)])


def _network(source, which, backbone, image_size):
    """The MXNet engine of a run, or of a pretrained trunk alone."""
    if source is not None:
        from models.loading import load
        embedder = load(source, which)
        return MXNet(embedder.net, embedder.transform)
    from models.assembly import build
    return MXNet(build(backbone, head='pooled', pretrained=True, image_size=image_size, transform='margin'))


def exported(network: MXNet) -> Optional[pathlib.Path]:
    """The network as an .onnx file in the user's cache, written at the first call. None where it cannot be exported."""
    if any(importlib.util.find_spec(name) is None for name in ('onnx', 'onnxruntime')):
        return None
    folder = pathlib.Path(os.environ.get('XDG_CACHE_HOME', '~/.cache')).expanduser() / 'gluon-dml'
    file = folder / f'{network.model_hash}.onnx'
    if not file.is_file():
        from serving.export import export_onnx
        net = network.embedder.net
        net.transform = network.transform
        try:
            export_onnx(net, file, _noise(network.image_size))
        except (UserError, OSError):                    # an operator that ONNX lacks, a folder that cannot be written
            return None
        finally:
            net.optimize()
    return file


def _noise(size, count=8):
    return np.random.RandomState(0).randint(0, 256, (count, size, size, 3)).astype(np.uint8)


def fastest(candidates: list) -> Engine:
    """The quickest engine among those that agree with the first one, which is exact.

    Each embeds eight pictures of noise three times; its best time counts. An engine whose embeddings are more than
    TOLERANCE of the longest embedding off is left out.
    """
    batch, times = _noise(candidates[0].image_size), []
    exact = candidates[0].forward(batch)
    for engine in candidates:
        apart = np.abs(engine.forward(batch) - exact).max() / max(np.linalg.norm(exact, axis=1).max(), 1e-12)
        spent = []
        for _ in range(3):
            start = time.perf_counter()
            engine.forward(batch)
            spent.append(time.perf_counter() - start)
        times.append(min(spent) if apart <= TOLERANCE else float('inf'))
    return candidates[int(np.argmin(times))]


def _engines_of(file, threads):
    return [ENGINES[name](file, threads) for name in ('onnxruntime', 'openvino')
            if importlib.util.find_spec(name) is not None]


def _of_file(file, engine, precision, threads):
    if not file.is_file():
        raise UserError(f'{file}: there is no such file. Fix: one that `main.py export` wrote')
    if engine == 'mxnet':
        raise UserError(f'--engine=mxnet runs a run folder or parameter file, not {file}. Fix: --engine=auto')
    if 'bfloat16' in (precision, read_metadata(file).get('precision')):
        if importlib.util.find_spec('openvino') is None:
            raise UserError('bfloat16 is arithmetic of OpenVINO, which is not installed here. Fix: pip install '
                            'openvino')
        return OpenVINO(file, threads, 'bfloat16')
    if engine != 'auto':
        return ENGINES[engine](file, threads)
    candidates = _engines_of(file, threads)
    if not candidates:
        raise UserError(f'{file} needs ONNX Runtime or OpenVINO. Fix: pip install onnxruntime')
    return fastest(candidates)
