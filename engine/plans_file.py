"""The batches of an interrupted epoch, in a file."""

import os
import zipfile

import numpy as np

from core.contracts import Plan
from core.errors import COPY, UserError


def save(path, plans):
    """Keep the batches of the running epoch: some samplers read the network that has moved on since."""
    arrays = {}
    for number, plan in enumerate(plans):
        arrays[f'index_{number}'], arrays[f'seed_{number}'] = plan.index, plan.seed
        extra = None if plan.extra is None else plan.extra()
        if extra is not None:
            arrays[f'extra_{number}'] = extra
    with open(path, 'wb') as file:
        np.savez_compressed(file, count=len(plans), **arrays)
        file.flush()
        os.fsync(file.fileno())


def load(path):
    """List of Plan written by `save`. Raises UserError naming a damaged file."""
    def handed(extra):
        return None if extra is None else lambda: extra
    try:
        with np.load(path, allow_pickle=False) as file:
            return [Plan(file[f'index_{i}'], file[f'seed_{i}'],
                         handed(file[f'extra_{i}'] if f'extra_{i}' in file.files else None))
                    for i in range(int(file['count']))]
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise UserError(f'{path} is damaged ({error}). {COPY}') from error
