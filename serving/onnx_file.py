"""The metadata of an ONNX file, read without any package: an engine that does not show them can be asked all the same.

An ONNX file is one message of Protocol Buffers, ModelProto; its field 14 repeats pairs of key (1) and value (2).
"""

import mmap
import pathlib

from core.errors import UserError

METADATA = 14


def read_metadata(file) -> dict:
    """{key: text} of an ONNX file. Raises UserError for a file that is none, or is damaged."""
    try:
        with open(pathlib.Path(file), 'rb') as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            pairs = [dict(_fields(data, *span)) for number, span in _fields(data, 0, len(data)) if number == METADATA]
            return {_text(data, pair[1]): _text(data, pair[2]) for pair in pairs}
    except (ValueError, IndexError, KeyError, OSError) as error:
        reason = getattr(error, 'strerror', None) or 'it is no ONNX file, or it is cut off'
        raise UserError(f'{file} cannot be read: {reason}. Fix: one that `main.py export` wrote') from error


def _fields(data, at, end):
    """(field number, (start, end)) of the length-delimited fields of a message; numbers are passed over."""
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError('cut off')
            yield tag >> 3, (at, at + size)
            at += size
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f'wire type {kind}')


def _varint(data, at):
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError('a number is too long')


def _text(data, span):
    return data[span[0]:span[1]].decode('utf-8')
