"""Uploads that are no good: fuzzed headers, cut-off pictures, bombs, other kinds of files, strange names."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def uploads(count, seed=0):
    """Yield `count` times (kind, file name, bytes): pictures that a service has to refuse.

    Parameters
    ----------
    count : how many; the kinds take turns
    seed : of everything that is random
    """
    rng = np.random.RandomState(seed)
    whole = {kind: encoded(kind, rng) for kind in ('JPEG', 'PNG', 'GIF', 'BMP', 'TIFF', 'WEBP')}
    kinds = list(KINDS.items())
    for k in range(count):
        kind, make = kinds[k % len(kinds)]
        yield kind, name(rng, k), make(rng, whole)


def encoded(kind, rng):
    """A good picture of noise in one format."""
    out = io.BytesIO()
    Image.fromarray(rng.randint(0, 256, (60, 80, 3)).astype(np.uint8)).save(out, kind)
    return out.getvalue()


def name(rng, k):
    """A file name, half of them with what no name should have."""
    return ['photo.jpg', '../../etc/passwd', 'a\x00b.png', '\x1b[31m.jpg', 'x' * 300 + '.jpg', 'a"; filename="b.png',
            'C:\\x.png', '\u202egpj.exe'][rng.randint(8)] if k % 2 else f'{k}.jpg'


def pick(rng, whole):
    return whole[sorted(whole)[rng.randint(len(whole))]]


def noise_header(rng, whole):
    """The first bytes of a format, then noise."""
    return pick(rng, whole)[:rng.randint(2, 24)] + rng.bytes(rng.randint(1, 4000))


def claimed(rng, whole):
    """A real JPEG whose frame claims up to 65535 x 65535 pixels."""
    data = bytearray(whole['JPEG'])
    at = data.index(b'\xff\xc0') + 5
    data[at:at + 4] = struct.pack('>HH', *rng.randint(15000, 65536, 2))
    return bytes(data)


def chunk(kind, body):
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def bomb(rng, whole):
    """A PNG of a few kilobytes that unpacks to hundreds of millions of pixels."""
    side = int(rng.randint(15000, 60000))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)) + chunk(
        b'IDAT', zlib.compress(bytes(2_000_000), 9)) + chunk(b'IEND', b'')


def text_bomb(rng, whole):
    """A PNG whose text chunk unpacks to many megabytes, and whose pixels are missing."""
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 9, 9, 8, 2, 0, 0, 0)) + chunk(
        b'zTXt', b'a\0\0' + zlib.compress(bytes(20_000_000), 9)) + chunk(b'IEND', b'')


KINDS = {
    'noise behind a header': noise_header,
    'cut-off JPEG': lambda rng, whole: whole['JPEG'][:rng.randint(2, int(0.9 * len(whole['JPEG'])))],
    'cut-off PNG': lambda rng, whole: whole['PNG'][:rng.randint(8, int(0.9 * len(whole['PNG'])))],
    'claimed size': claimed,
    'PNG bomb': bomb,
    'PNG text bomb': text_bomb,
    'SVG': lambda rng, whole: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    'HTML': lambda rng, whole: b'<!doctype html><script>alert(1)</script>' + b' ' * rng.randint(3000),
    'zero bytes': lambda rng, whole: b'',
    'zeros': lambda rng, whole: bytes(int(rng.randint(1, 100_000))),
    'noise': lambda rng, whole: b'\1' + rng.bytes(rng.randint(1, 20_000)),
    'PostScript': lambda rng, whole: b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n',
    'ZIP': lambda rng, whole: b'PK\3\4' + rng.bytes(200),
    'PDF': lambda rng, whole: b'%PDF-1.7\n' + rng.bytes(200),
}
