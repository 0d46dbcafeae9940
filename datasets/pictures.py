"""Image files: what their header says, and their pixels as uint8 RGB."""

import functools
import importlib.util
import io
import os
import stat
import warnings

import numpy as np

from core.errors import UserError
from core.lazy import Lazy, lazy
from core.text import printable

# The largest cameras make 151 million pixels. A file of a few kilobytes can claim any number, and each thread that
# decodes one would take 3 bytes for each of them.
MAX_PIXELS = 160_000_000
MAX_BYTES = 2 << 30     # of a file; 160 million pixels of 3 x 32 bits, uncompressed
HEAD, TAIL = 1 << 12, 1 << 16    # bytes of a file in which its header and its end marker are looked for first

SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.webp', '.tif', '.tiff', '.gif', '.ppm', '.pgm', '.pbm',
            '.pnm', '.jp2', '.heic', '.heif', '.avif')
HEIF = (b'heic', b'heix', b'hevc', b'hevx', b'heim', b'heis', b'mif1', b'msf1', b'avif', b'avis')

pillow_heif = importlib.util.find_spec('pillow_heif')     # phones write HEIC; Pillow reads it with this plug-in


def _pillow():
    """PIL.Image, once its plug-ins are known."""
    from PIL import Image as module
    if pillow_heif is not None:
        importlib.import_module('pillow_heif').register_heif_opener()
    module.init()
    warnings.filterwarnings('ignore', category=module.DecompressionBombWarning)      # MAX_PIXELS decides
    return module


cv2 = lazy('cv2')
Image = Lazy('PIL.Image', _pillow)
ImageFile = lazy('PIL.ImageFile')
ImageOps = lazy('PIL.ImageOps')


@functools.cache
def formats():
    """Names of the formats that Pillow may open: none that is a program in a file (EPS starts Ghostscript)."""
    return [name for name in Image.ID if name not in ('EPS', 'WMF')]


class BadImage(UserError):
    """An image file that cannot be decoded, or not in full.

    Attributes
    ----------
    path : the file
    reason : str
    """

    def __init__(self, path, reason, fix='another picture'):
        super().__init__(f'{printable(path)}: {reason}. Fix: {fix}')
        self.path, self.reason = path, reason


def read_image(path):
    """Pixels of an image file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    uint8 (H, W, 3) RGB, upright by its EXIF tag, alpha dropped

    Raises
    ------
    BadImage : there is no such file, it is cut off, no picture, or larger than MAX_PIXELS
    """
    return decode(_bytes(path), path)


def decode(data, path='image'):
    """uint8 (H, W, 3) RGB of an encoded image, a uint8 array or bytes. `path` names it in errors.

    OpenCV decodes what it decodes well; PIL decides about the rest: CMYK, formats that OpenCV lacks, and files that
    look cut off, which OpenCV would return half grey without an error.
    """
    data = np.frombuffer(data, dtype=np.uint8) if isinstance(data, (bytes, bytearray, memoryview)) else data
    if not data.size:
        raise BadImage(path, 'the file is empty')
    _check_claim(data.tobytes(), data.size, path)
    if _is_plain(data):
        try:
            rgb = getattr(cv2, 'IMREAD_COLOR_RGB', None)    # since OpenCV 4.11; saves a pass over the picture
            image = cv2.imdecode(data, rgb or cv2.IMREAD_COLOR)
        except cv2.error:
            image = None
        if image is not None:
            return image if rgb else cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    with _opened(io.BytesIO(data.tobytes()), data[:32].tobytes(), path) as image:
        return _pixels(image, path)


def check_header(path):
    """BadImage for a file whose header or end shows that it cannot be decoded; no pixel is decoded.

    JPEG and PNG say at their end that they are whole, so a file that was cut off is found; damage in the middle is not.
    Other formats are decoded, as nothing else tells.
    """
    size = _file_size(path)
    try:
        with open(path, 'rb') as file:
            head = file.read(HEAD)
            if not size:
                raise BadImage(path, 'the file is empty')
            _check_claim(head, size, path)
            jpeg = _jpeg_header(head)
            start, end = (jpeg[0], b'\xff\xd9') if jpeg else (0, b'IEND' if head[:2] == b'\x89P' else None)
            file.seek(max(start, size - TAIL))
            if end is not None and end in file.read():
                file.seek(0)
                with _opened(file, head, path):
                    return
    except OSError as error:
        raise BadImage(path, error.strerror or str(error)) from error
    read_image(path)


def is_picture(path):
    """Whether a file without a telling name begins like a picture."""
    try:
        _file_size(path)
        with open(path, 'rb') as file:
            return _kind(file.read(32)) is not None
    except (OSError, BadImage):
        return False


def _kind(head):
    """The format that the first bytes of a file announce, or None."""
    for kind, marks in (('JPEG', (b'\xff\xd8\xff',)), ('PNG', (b'\x89PNG\r\n',)), ('GIF', (b'GIF87a', b'GIF89a')),
                        ('TIFF', (b'II*\0', b'MM\0*')), ('BMP', (b'BM',)), ('PNM', (b'P4\n', b'P5\n', b'P6\n'))):
        if head.startswith(marks):
            return kind
    if head[:4] == b'RIFF' and head[8:12] == b'WEBP':
        return 'WEBP'
    return 'HEIF' if head[4:8] == b'ftyp' and head[8:12] in HEIF else None


def _file_size(path):
    """Bytes of a regular file; BadImage for what is none (a pipe would wait for ever) and for one that is too large."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:      # ValueError: a NUL in the name
        raise BadImage(path, getattr(error, 'strerror', None) or str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise BadImage(path, 'it is no file')
    if status.st_size > MAX_BYTES:
        raise BadImage(path, f'it has {status.st_size:,} bytes, more than the {MAX_BYTES:,} that are read')
    return status.st_size


def _bytes(path):
    _file_size(path)
    try:
        return np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise BadImage(path, error.strerror or str(error)) from error


def _check_size(width, height, path):
    if width * height > MAX_PIXELS:
        raise BadImage(path, f'it claims {width:,} x {height:,} pixels, more than the {MAX_PIXELS:,} that are decoded')


def _is_plain(data):
    """Whether OpenCV decodes these bytes as PIL does: a whole JPEG of 1 or 3 components, a whole PNG."""
    raw = data.tobytes()
    if raw[:8] == b'\x89PNG\r\n\x1a\n':
        return _png_is_whole(raw)
    jpeg = _jpeg_header(raw)
    return bool(jpeg and jpeg[1] in (1, 3) and raw.rfind(b'\xff\xd9', jpeg[0]) > 0)


def _png_is_whole(raw):
    """Whether the chunks of a PNG follow each other up to the last. OpenCV believes any length that a chunk claims."""
    at = 8
    while at + 12 <= len(raw):
        if raw[at + 4:at + 8] == b'IEND':
            return True
        at += 12 + int.from_bytes(raw[at:at + 4], 'big')
    return False


def _check_claim(head, length, path):
    """BadImage for a JPEG or PNG that claims more pixels than are decoded, or than its bytes can hold.

    zlib packs at most 1,032 bytes into one, a JPEG at most 64 pixels into a bit.
    """
    jpeg = _jpeg_header(head)
    if jpeg and jpeg[2]:
        width, height = jpeg[2]
        least = width * height // 512
    elif head.startswith(b'\x89PNG') and len(head) >= 26:
        width, height = (int.from_bytes(head[at:at + 4], 'big') for at in (16, 20))
        least = height * (width * head[24] * {2: 3, 4: 2, 6: 4}.get(head[25], 1) // 8) // 1032
    else:
        return
    _check_size(width, height, path)
    if length < least:
        raise BadImage(path, f'{length:,} bytes cannot hold the {width:,} x {height:,} pixels that it claims')


def _jpeg_header(raw):
    """(where the compressed data starts, number of components, (width, height)) of a JPEG.

    None if `raw`, its beginning, does not reach that far.
    """
    if raw[:2] != b'\xff\xd8':
        return None
    at, components, size = 2, 0, None
    while at + 9 < len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if marker == 0xDA:                                                   # start of scan
            return at, components, size
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):      # start of frame
            size = (raw[at + 7] << 8) + raw[at + 8], (raw[at + 5] << 8) + raw[at + 6]
            components = raw[at + 9]
        at += 1 if marker == 0xFF else 2 + (raw[at + 2] << 8) + raw[at + 3]
    return None


def _opened(file, head, path):
    """PIL image of a file whose size has been found to be fit; nothing is decoded yet."""
    try:
        image = Image.open(file, formats=formats())
    except Exception as error:      # a decoder may raise anything on bytes from outside: KeyError, struct.error, ...
        reason = str(error) or type(error).__name__
        if _kind(head) == 'HEIF' and pillow_heif is None:
            reason = 'HEIC is read with a plug-in: pip install pillow-heif'
        elif isinstance(error, Image.DecompressionBombError):
            reason = f'it claims more than the {MAX_PIXELS:,} pixels that are decoded'
        elif 'cannot identify' in reason:
            reason = 'not an image that OpenCV or PIL can read'
        raise BadImage(path, printable(reason)) from error
    _check_size(*image.size, path)
    return image


def _pixels(image, path):
    """uint8 (H, W, 3) of an opened PIL image."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False     # gluoncv.data switches it on: half a picture would be grey
    try:
        signed = getattr(image, 'tag_v2', {}).get(339, 1) in (2, (2,))      # TIFF: SampleFormat
        deep = 16 if image.format == 'PPM' else 31 if signed else 32
        image = ImageOps.exif_transpose(image)
        if image.mode in ('I', 'F') or image.mode.startswith('I;'):
            return np.repeat(eight_bits(np.asarray(image), deep)[:, :, None], 3, axis=2)
        return np.array(image.convert('RGB'))
    except Exception as error:      # as in _opened
        raise BadImage(path, printable(str(error) or type(error).__name__)) from error


def eight_bits(values, deepest=32):
    """Grey levels of more than eight bits as uint8.

    16-bit numbers keep their upper eight bits, as OpenCV does with PNG. A container of 32 bits does not say how many of
    them are used: the smallest of 8, 16, 24 and `deepest` that hold the brightest pixel. Numbers with a fraction mean
    0..1, else 0..255, else 0..65535 by their brightest pixel; what fits none of them (below 0, beyond) is stretched.

    Parameters
    ----------
    values : (H, W) uint16, int32 or float32
    deepest : bits of the container; 31: it is signed, and negative pixels are black; 32: it is not

    Returns
    -------
    uint8 (H, W)

    Example
    -------
    >>> eight_bits(np.array([[0, 128 * 256]], dtype=np.uint16)), eight_bits(np.array([[0.0, 0.5, 1.0]]))
    (array([[  0, 128]], dtype=uint8), array([[  0, 128, 255]], dtype=uint8))
    """
    if values.dtype.kind == 'f':
        values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        low, high = min(0.0, values.min()), values.max()
        fits = [top for top in (1.0, 255.0, 65535.0) if high <= top] if low == 0 else []
        return np.rint((values - low) * (255.0 / (fits[0] if fits else high - low))).astype(np.uint8)
    if values.dtype.itemsize == 2:
        return (values.astype(np.uint16) >> 8).astype(np.uint8)
    values = values.astype(np.int64)
    values = np.maximum(values, 0) if deepest == 31 else values & 0xFFFFFFFF
    bits = 16 if deepest == 16 else next(b for b in (8, 16, 24, deepest) if int(values.max()) < 1 << b)
    return (values >> (bits - 8)).astype(np.uint8)
