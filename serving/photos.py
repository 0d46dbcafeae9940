"""The folder of pictures behind an index: which files it has, their pixels, thumbnails; nothing outside of it."""

import io
import os
import pathlib
import warnings
from collections import Counter

from core.errors import UserError
from core.text import printable
from datasets.pictures import SUFFIXES, BadImage, Image, ImageOps, decode, read_image
from datasets.scan import RUBBISH, taken
from serving.store import File

# What is taken from outside, by content: the type that a browser is told, and the suffix of a new file.
FORMATS = {'JPEG': ('image/jpeg', '.jpg'), 'MPO': ('image/jpeg', '.jpg'), 'PNG': ('image/png', '.png'),
           'WEBP': ('image/webp', '.webp'), 'GIF': ('image/gif', '.gif'), 'BMP': ('image/bmp', '.bmp'),
           'TIFF': ('image/tiff', '.tif'), 'PPM': ('image/x-portable-pixmap', '.ppm')}
warnings.filterwarnings('ignore', module='PIL')         # of strange files; what cannot be used is refused with words
OPENED = [kind for kind in FORMATS if kind != 'MPO']        # which Pillow takes for a JPEG until it is open


class Unreadable(UserError):
    """A picture that cannot be used; the message is the reason alone."""


def scan(root, ignored=None):
    """All pictures of a folder and its subfolders, by path.

    The label is the name of the folder directly below the root, as for the data set `folder`; files directly in the
    root have none. Hidden files and folders, and folders that hold an index, are left out.

    Parameters
    ----------
    root : the folder
    ignored : Counter, to which is added what was not taken and why; None: nobody wants to know

    Returns
    -------
    list of store.File

    Raises
    ------
    UserError : there is no such folder, or it holds no picture
    """
    root = pathlib.Path(root)
    if not root.is_dir():
        raise UserError(f'--images={printable(root)} is not a folder. Fix: the folder that holds the photos')
    found, ignored = [], Counter() if ignored is None else ignored
    for folder, inside, names in os.walk(root, onerror=_refuse):
        if 'images.sqlite' in names:
            inside[:] = []
            continue
        ignored.update(f'folder {name}' for name in inside if name.lower() in RUBBISH)
        inside[:] = sorted(name for name in inside if not name.startswith('.') and name.lower() not in RUBBISH)
        ignored.update('link to a folder' for name in inside if os.path.islink(os.path.join(folder, name)))
        base = '' if folder == str(root) else os.path.relpath(folder, root)
        for name in names:
            if name.startswith('.') or not taken(os.path.join(folder, name), ignored):
                continue
            path = os.path.join(base, name)
            try:
                found.append(File(path, path.split(os.sep)[0] if base else '', *_stamp(root / path)))
            except OSError:         # a link that leads nowhere, or a file that went away this moment
                ignored['link to nothing'] += 1
    if not found:
        raise UserError(f'--images={printable(root)} holds no picture. Fix: a folder with photos, files ending in '
                        f'{" ".join(SUFFIXES)}')
    return sorted(found)


def _refuse(error):
    raise UserError(f'{error.filename} cannot be read: {error.strerror}. Fix: let this user read it') from error


def _stamp(path):
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def locate(root, path):
    """The file of a relative path; Unreadable when it lies outside of the root, also by a link."""
    root = os.path.realpath(root)
    file = os.path.realpath(os.path.join(root, path))
    if '\0' in path or os.path.commonpath([root, file]) != root or file == root:
        raise Unreadable('it is a link to a place outside of the indexed folder')
    return file


def read(root, path):
    """uint8 (H, W, 3) RGB of a picture below the root. Raises Unreadable with the reason."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise Unreadable('its name is not UTF-8; rename it') from None
    try:
        return read_image(locate(root, path))
    except BadImage as error:
        raise Unreadable(error.reason) from error


def header(data, max_pixels=None):
    """The format of a picture from outside, by its content, with nothing decoded.

    Parameters
    ----------
    data : bytes, or an open file
    max_pixels : None: as many as there are

    Returns
    -------
    str : a key of FORMATS

    Raises
    ------
    Unreadable : no picture of these formats, or more pixels than max_pixels
    """
    try:
        with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=OPENED) as image:
            kind, (width, height) = image.format, image.size
    except Image.DecompressionBombError:
        most = max_pixels or Image.MAX_IMAGE_PIXELS
        raise Unreadable(f'it claims more pixels than the {most:,} that are allowed') from None
    except Exception:       # what a parser raises on hostile bytes is not only OSError
        raise Unreadable('it is no JPEG, PNG, WebP, GIF, BMP, TIFF or PPM picture') from None
    if max_pixels is not None and width * height > max_pixels:
        raise Unreadable(f'it claims {width} x {height} pixels; at most {max_pixels:,} are allowed')
    return kind


def content_type(file):
    """What a browser is told of an open file; bytes without a meaning where it is no picture of FORMATS."""
    try:
        return FORMATS[header(file)][0]
    except Unreadable:
        return 'application/octet-stream'


def pixels(data, max_pixels):
    """uint8 (H, W, 3) RGB of a picture from outside. Raises Unreadable with the reason."""
    header(data, max_pixels)
    try:
        return decode(data)
    except BadImage as error:
        raise Unreadable(error.reason) from error


def thumbnail(file, size):
    """JPEG bytes of a picture file, at most `size` pixels a side, upright. Raises Unreadable."""
    try:
        try:
            image = Image.open(file, formats=OPENED)
            image.draft('RGB', (size, size))        # a JPEG is decoded no larger than that needs
            image = ImageOps.exif_transpose(image)
        except OSError:
            image = Image.fromarray(read_image(file))
        image = image.convert('RGB')
        image.thumbnail((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
        out = io.BytesIO()
        image.save(out, 'JPEG', quality=85)
        return out.getvalue()
    except Exception as error:      # as above
        raise Unreadable(f'no thumbnail can be made: {error}') from error
