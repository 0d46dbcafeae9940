"""An engine that needs no network: the mean colour of each cell of a grid, as a vector of length one."""

import struct
import zlib

import cv2
import numpy as np

from serving.encoder import Encoder


class Colours:
    """An engine as those of serving.engines."""

    image_size, name, head = 32, 'colours', 'pooled'

    def __init__(self, cells=4, model_hash='colours-1'):
        self.cells, self.dim, self.model_hash, self.batches = cells, 3 * cells * cells, model_hash, []

    def view(self, image, rng):
        return cv2.resize(image, (self.image_size, self.image_size), interpolation=cv2.INTER_AREA)

    def forward(self, batch):
        self.batches.append(len(batch))
        small = np.stack([cv2.resize(image, (self.cells, self.cells), interpolation=cv2.INTER_AREA)
                          for image in batch]).astype(np.float32)
        return small.reshape(len(batch), -1) - 127.0

    def describe(self):
        return 'colours'


def encoder(**options):
    """Of Colours, with vectors of length one."""
    return Encoder(Colours(**options))


def picture(seed, size=(48, 40)):
    """uint8 (H, W, 3): smooth noise that only the seed decides."""
    coarse = np.random.RandomState(seed).randint(0, 256, (4, 4, 3)).astype(np.uint8)
    return cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)


def write(path, seed, size=(48, 40)):
    """A PNG of `picture`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture(seed, size)[:, :, ::-1])
    return path


def album(root, classes=3, each=4):
    """ROOT/class0/0.png ...: pictures of different seeds."""
    for c in range(classes):
        for k in range(each):
            write(root / f'class{c}' / f'{k}.png', 100 * c + k)
    return root


def png_bomb(width, height):
    """A PNG of a hundred bytes that claims a size and has next to no pixels."""
    def chunk(kind, body):
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))

    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)) + chunk(
        b'IDAT', zlib.compress(b'\0' * 64)) + chunk(b'IEND', b'')
