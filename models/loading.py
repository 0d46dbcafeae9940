"""A trained run as a function: pictures in, embeddings out."""

import hashlib
import json
import pathlib

import numpy as np

from core.errors import COPY, UserError
from core.runtime import mx, nd
from datasets import views
from datasets.transforms import get_transform
from models.assembly import load_network
from models.embedding import EmbeddingNet

PARAMS = 'net.params'


class Embedder:
    """embedder(images) -> float32 (n, D): the run's own test view, its preprocessing, its network.

    Parameters
    ----------
    net : EmbeddingNet, made fast for inference (EmbeddingNet.optimize), so no longer for training
    transform : name of the test view; None: the one that the network was saved with
    batch_size : pictures in a forward pass

    Attributes
    ----------
    dim : D; image_size : S in pixels; transform : name of the view
    """

    def __init__(self, net: EmbeddingNet, transform=None, batch_size: int = 32):
        self.net, self.batch_size = net, batch_size
        self.image_size = net.size
        self.transform = transform or net.transform
        self.view = get_transform(self.transform, False, net.size)
        self.ctx = net.offset.list_ctx()[0]
        net.optimize()
        blank = np.zeros((1, net.size, net.size, 3), np.uint8)
        self.dim = self.forward(blank).shape[1]

    def __call__(self, images) -> np.ndarray:
        """float32 (n, D) of a path, a list of paths, or uint8 pictures of any size: see datasets.views.embedded."""
        return views.embedded(images, self.view, self.forward, self.dim, self.batch_size)

    def forward(self, batch: np.ndarray) -> np.ndarray:
        """uint8 (n, S, S, 3), already through the test view -> float32 (n, D)."""
        return self.net(nd.array(batch, ctx=self.ctx, dtype='uint8')).embedding.asnumpy()


def params_file(source, which: str = 'last') -> pathlib.Path:
    """The file of parameters behind a run folder, a checkpoint folder, or the file itself.

    A run folder has the links `last` and `best`; where a crash left none, the newest complete checkpoint is taken.

    Raises
    ------
    UserError : there is none, or it is not the file that the checkpoint's manifest describes
    """
    source = pathlib.Path(source).expanduser()
    if source.is_file():
        return source
    kept = [folder for name in (which, 'last') for folder in sorted(source.glob(f'checkpoints/{name}-*'), reverse=True)
            if folder.suffix != '.new']
    for folder in (source, source / which, source / 'last', *kept):
        if (folder / PARAMS).is_file():
            _verify(folder)
            return folder / PARAMS
    if not source.exists():
        raise UserError(f'{source}: there is no such file or folder. Fix: a run folder, one of its checkpoints, or a '
                        'file of parameters')
    raise UserError(f'{source} holds no trained network: expected {source}/{which}/{PARAMS}. Fix: the folder that '
                    'training printed')


def _verify(folder):
    """UserError unless the parameters of a checkpoint are those whose size and SHA-256 its manifest holds."""
    try:
        expected = json.loads((folder / 'manifest.json').read_text(encoding='utf-8'))[PARAMS]
    except FileNotFoundError:
        return                                      # written by `save` alone, or by an early version
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f'{folder / "manifest.json"} is damaged or cannot be read ({error}). {COPY}') from error
    content = (folder / PARAMS).read_bytes()
    if [len(content), hashlib.sha256(content).hexdigest()] != expected:
        raise UserError(f'{folder / PARAMS} is damaged: its checksum is not that of manifest.json. {COPY}')


def load(source, which: str = 'last', ctx=None, transform=None, batch_size: int = 32) -> Embedder:
    """A function pictures -> embeddings.

    Parameters
    ----------
    source : run folder, checkpoint folder, or a file that EmbeddingNet.save wrote
    which : 'last' or 'best': which checkpoint of a run folder
    ctx : MXNet context; None: the CPU
    transform : name of another test view (datasets.transforms)
    batch_size : pictures in a forward pass

    Raises
    ------
    UserError : there is no such network, or its file is damaged

    Example
    -------
    ::

        embed = models.load('runs/birds')
        vectors = embed(['a.jpg', 'b.jpg'])         # float32 (2, D)
    """
    file = params_file(source, which)
    net = load_network(file, ctx or mx.cpu())
    if transform is None and net.transform == 'none':
        transform = _view_of_run(file.parent)
    return Embedder(net, transform, batch_size)


def _view_of_run(folder):
    """Name of the test view in a checkpoint's flags, for networks that were saved without it; else None."""
    try:
        return json.loads((folder / 'args.json').read_text(encoding='utf-8')).get('transform')
    except (OSError, ValueError, AttributeError):
        return None
