"""Which device a run uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.errors import UserError
from core.runtime import mx
from core.text import count as plural


def numbers(gpu_idx: str | None) -> list[int]:
    """The GPU numbers that --gpu_idx names, without looking whether they are there.

    Parameters
    ----------
    gpu_idx : '', 'cpu' or '-1' (no number), or a list such as '0' or '0,1'

    Returns
    -------
    list of int

    Raises
    ------
    UserError : no list of numbers

    Example
    -------
    >>> numbers('0,1'), numbers('cpu')
    ([0, 1], [])
    """
    text = str(gpu_idx if gpu_idx is not None else '').strip().lower()
    if text in ('', 'cpu', '-1'):
        return []
    try:
        return [int(part) for part in text.split(',')]
    except ValueError:
        raise UserError(f'--gpu_idx={gpu_idx} is not a list of GPU numbers. Legal values: empty (choose), cpu, 0, '
                        '0,1, ...') from None


def contexts(gpu_idx: str | None, say: Callable[[str], Any] = print) -> list:
    """--gpu_idx -> list of MXNet contexts.

    Parameters
    ----------
    gpu_idx : '' picks GPU 0 when there is one and otherwise the CPU, and says so; 'cpu' or '-1' asks for the CPU;
        '0' or '0,1' asks for these GPUs
    say : function that prints one line

    Returns
    -------
    list of MXNet contexts

    Raises
    ------
    UserError : no list of numbers, or a GPU that is not there

    Example
    -------
    >>> contexts('cpu')
    [cpu(0)]
    """
    text, wanted = str(gpu_idx if gpu_idx is not None else '').strip().lower(), numbers(gpu_idx)
    count = mx.context.num_gpus()
    if text in ('cpu', '-1'):
        return [mx.cpu()]
    if not text:
        say('device: GPU 0 (--gpu_idx is empty, a GPU was found)' if count
            else 'device: CPU (--gpu_idx is empty, no GPU was found)')
        return [mx.gpu(0)] if count else [mx.cpu()]
    missing = [index for index in wanted if not 0 <= index < count]
    if missing:
        raise UserError(f'--gpu_idx={gpu_idx}: this machine has {plural(count, "usable GPU")} for the installed MXNet. '
                        'Fix: --gpu_idx= (chooses by itself), --gpu_idx=cpu, or bash scripts/setup.sh --gpu')
    return [mx.gpu(index) for index in wanted]
