"""Checkpoints that resume bit for bit, written aside and renamed, so that a crash leaves the last good one."""

import errno
import json
import os
import pathlib
import shutil

import numpy as np

from core.contracts import Plan
from core.errors import UserError
from core.gluon_internals import named_parameters
from core.runtime import mx, nd
from models import weights

VERSION = 1


def save_plans(path, plans):
    """Keep the batches of the running epoch: some samplers read the network that has moved on since."""
    arrays = {}
    for number, plan in enumerate(plans):
        arrays[f'index_{number}'], arrays[f'seed_{number}'] = plan.index, plan.seed
        extra = plan.extra() if callable(plan.extra) else plan.extra
        if extra is not None:
            arrays[f'extra_{number}'] = extra
    np.savez_compressed(path, count=len(plans), **arrays)


def load_plans(path):
    """List of Plan written by save_plans."""
    with np.load(path) as file:
        return [Plan(file[f'index_{i}'], file[f'seed_{i}'],
                     file[f'extra_{i}'] if f'extra_{i}' in file.files else None)
                for i in range(int(file['count']))]


def write(folder, net, criterion, trainers, state, args, plans=None):
    """Save everything that training needs to go on.

    Parameters
    ----------
    folder : path of the checkpoint; an older one there stays until the new one is complete
    trainers : list of gluon.Trainer
    state : JSON-ready dict of the loop
    args : dict of the resolved flags
    plans : batches of the running epoch when it was interrupted, else None

    Raises
    ------
    UserError : the disk is full or not writable; the older checkpoint is still there
    """
    folder = pathlib.Path(folder)
    aside, older = folder.with_name(folder.name + '.new'), folder.with_name(folder.name + '.old')
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        net.save(str(aside / 'net.params'))
        nd.save(str(aside / 'criterion.params'), {name: parameter.data().as_in_context(mx.cpu()) for name, parameter
                                                  in named_parameters(criterion).items()})
        for number, trainer in enumerate(trainers):
            trainer.save_states(str(aside / f'trainer{number}.states'))
        if plans is not None:
            save_plans(aside / 'plans.npz', plans)
        (aside / 'args.json').write_text(json.dumps(args, indent=1, sort_keys=True))
        (aside / 'state.json').write_text(json.dumps(dict(state, version=VERSION), indent=1))
        if sum(1 for f in aside.iterdir() if f.stat().st_size == 0 and f.name != 'criterion.params'):
            raise OSError(errno.ENOSPC, 'a file of the checkpoint is empty')
        for file in aside.iterdir():
            with open(file, 'rb') as handle:
                os.fsync(handle.fileno())
        shutil.rmtree(older, ignore_errors=True)
        if folder.exists():
            folder.rename(older)
        aside.rename(folder)
        shutil.rmtree(older, ignore_errors=True)
    except Exception as error:
        kept = find(folder)
        shutil.rmtree(aside, ignore_errors=True)
        full = getattr(error, 'errno', None) == errno.ENOSPC or 'space' in str(error).lower() \
            or shutil.disk_usage(folder.parent if folder.parent.exists() else '.').free < 1 << 20
        raise UserError('{} the checkpoint {}: {}. {} Fix: free some space or set --save_dir'.format(
            'The disk is full: could not write' if full else 'Could not write', folder, error,
            f'The last good checkpoint is still {kept}.' if kept else 'There was no earlier one.')) from error


def find(folder):
    """The complete checkpoint at `folder`: itself, or the older one when the program was killed while renaming."""
    folder = pathlib.Path(folder)
    for candidate in (folder, folder.with_name(folder.name + '.old')):
        if (candidate / 'state.json').is_file():
            return candidate
    return None


def locate(run, which='last'):
    """The checkpoint folder of a run folder (or of a checkpoint folder itself).

    Raises UserError when there is none.
    """
    run = pathlib.Path(run)
    found = find(run) or find(run / which) or find(run / 'last')
    if found is None:
        raise UserError(f'{run} holds no checkpoint: expected {run}/{which}/state.json. Give the folder that '
                        'training printed.'
                        )
    return found


def read_args(folder):
    """The flags that the checkpoint was made with."""
    return json.loads((pathlib.Path(folder) / 'args.json').read_text())


def read_state(folder):
    """The loop's state. Raises UserError for a checkpoint of another version."""
    state = json.loads((pathlib.Path(folder) / 'state.json').read_text())
    if state.get('version') != VERSION:
        raise UserError('{} has version {}, this program reads version {}'.format(
            folder, state.get('version'), VERSION))
    return state


def restore(folder, net, criterion, trainers, ctx):
    """Load parameters and optimizer states in place; returns (state, plans or None)."""
    folder = pathlib.Path(folder)
    state = read_state(folder)
    try:
        file = str(folder / 'net.params')
        weights.restore(net, weights.load_file(file), file)
        own = named_parameters(criterion)
        arrays = nd.load(str(folder / 'criterion.params')) if own else {}
        if set(arrays) != set(own):
            raise ValueError(f'criterion.params holds {sorted(arrays)}, the loss has {sorted(own)}')
        for name, parameter in own.items():
            parameter.set_data(arrays[name].as_in_context(ctx[0]))
        for number, trainer in enumerate(trainers):
            trainer.load_states(str(folder / f'trainer{number}.states'))
    except (OSError, ValueError, AssertionError, mx.MXNetError) as error:
        raise UserError(f'the checkpoint {folder} does not fit the flags or is damaged: {error}') from error
    plans = folder / 'plans.npz'
    return state, load_plans(plans) if plans.exists() else None
