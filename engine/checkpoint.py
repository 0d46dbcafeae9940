"""Checkpoints that resume bit for bit and that no crash can lose.

RUN/last and RUN/best are links to folders RUN/checkpoints/last-00000120 and so on. A new one is written beside them
under a name that ends with .new, gets a manifest with the checksum of each of its files, is renamed, and only then
does the link change, by one rename; the older one is removed last.
"""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import pickle
import shutil
import time

import numpy as np

from core.errors import COPY, UserError
from core.files import read_json, sync_folder, write_json
from core.gluon_internals import named_parameters
from core.runtime import mx, nd
from core.text import count
from engine import plans_file
from engine.state import VERSION, check
from models import weights

STORE, MANIFEST = 'checkpoints', 'manifest.json'


def write(run, which, net, criterion, update, state, settings, plans=None):
    """Save everything that training needs to go on, as RUN/`which`.

    Parameters
    ----------
    run : path of the run folder
    which : 'last' or 'best'
    net, criterion : their parameters are saved
    update : engine.update.Update
    state : dict of the loop, for JSON
    settings : dict of the flags in effect
    plans : batches of the running epoch when it was interrupted, else None

    Returns
    -------
    Path of the new checkpoint

    Raises
    ------
    UserError : the disk is full or not writable; the older checkpoint is still there
    """
    def fill(aside):
        net.save(str(aside / 'net.params'))
        check_size(aside / 'net.params', [p.shape for p in net.collect_params().values()])
        save_arrays(aside / 'criterion.params', {name: parameter.data().as_in_context(mx.cpu()) for name, parameter
                                                 in named_parameters(criterion).items()})
        save_arrays(aside / 'optimizer.params', update.arrays())
        if plans is not None:
            plans_file.save(aside / 'plans.npz', plans)
        write_json(aside / 'args.json', settings)
        write_json(aside / 'state.json', dict(state, version=VERSION, optimizers=update.description(),
                                              time=time.time()))
        write_json(aside / MANIFEST, {file.name: [file.stat().st_size, checksum(file)] for file in aside.iterdir()})
    return put(pathlib.Path(run), which, state['iteration'], fill)


def again(run, which, folder, iteration):
    """Save the checkpoint `folder` of `iteration` as RUN/`which` too: its bytes, not the network once more.

    Returns and raises what `write` does.
    """
    def fill(aside):
        for file in folder.iterdir():
            with open(file, 'rb') as source, open(aside / file.name, 'wb') as target:
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())
    return put(pathlib.Path(run), which, iteration, fill)


def put(run, which, iteration, fill):
    """Let `fill(folder)` write the files of a checkpoint, then let RUN/`which` be that one; see `write`."""
    store, aside = run / STORE, None
    try:
        store.mkdir(parents=True, exist_ok=True)
        name = unused(store, f'{which}-{iteration:08d}')
        aside = store / (name + '.new')
        aside.mkdir()
        fill(aside)
        sync_folder(aside)
        aside.rename(store / name)
        sync_folder(store)
        publish(run, which, store / name)
    except Exception as error:
        kept = find(run, which) or find(run, 'last') or find(run, 'best')
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        full = getattr(error, 'errno', None) == errno.ENOSPC or 'Write incomplete' in reason or \
            shutil.disk_usage(run if run.exists() else '.').free < 1 << 20
        begin = 'The disk is full: could not write' if full else 'Could not write'
        end = f'The last good checkpoint is still {kept}.' if kept else 'There was no earlier one.'
        raise UserError(f'{begin} the checkpoint {run / which}: {reason}. {end} Fix: free some space or set '
                        '--save_dir') from error
    tidy(run, which, store / name)
    return store / name


def unused(store, name):
    """`name`, or name.1, ... that no folder in `store` has."""
    number, stem = 0, name
    while (store / name).exists() or (store / (name + '.new')).exists():
        number += 1
        name = f'{stem}.{number}'
    return name


def publish(run, which, folder):
    """Let RUN/`which` be a link to `folder`, by one rename."""
    link, aside = run / which, run / f'{which}.link'
    if link.is_dir() and not link.is_symlink():    # an older program's folder, or a copy that followed the link
        link.rename(run / STORE / unused(run / STORE, f'{which}-00000000'))
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    aside.symlink_to(pathlib.Path(STORE, folder.name), target_is_directory=True)
    os.replace(aside, link)
    sync_folder(run)


def tidy(run, which, kept):
    """Remove the checkpoints that `kept` replaces. A failure leaves them to the next time."""
    for path in (*(run / STORE).glob(f'{which}-*'), run / f'{which}.old', run / f'{which}.new'):
        if path.name != kept.name:
            shutil.rmtree(path, ignore_errors=True)


def drop(run):
    """Remove the checkpoints of a run folder; its result, its log and its figures stay."""
    run = pathlib.Path(run)
    for which in ('last', 'best'):
        if (run / which).is_symlink():
            (run / which).unlink()
    shutil.rmtree(run / STORE, ignore_errors=True)


def check_size(file, shapes):
    """OSError for a file that is too short for float32 arrays of these shapes: what a full disk leaves."""
    if file.stat().st_size < 4 * sum(int(np.prod(shape)) for shape in shapes):
        raise OSError(errno.ENOSPC, 'the file was cut off', str(file))
    with open(file, 'rb') as handle:
        os.fsync(handle.fileno())


def save_arrays(file, arrays):
    """{name: NDArray} to a parameter file; no file where there is no array."""
    if arrays:
        nd.save(str(file), arrays)
        check_size(file, [array.shape for array in arrays.values() if array.dtype == np.float32])


def load_arrays(file):
    """{name: NDArray} of a file of save_arrays."""
    if not pathlib.Path(file).exists() or not pathlib.Path(file).stat().st_size:
        return {}
    return {name: nd.array(array, dtype=array.dtype) for name, array in weights.load_file(file).items()}


def checksum(file):
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(file, 'rb') as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def complete(folder):
    """Whether all files of a checkpoint are there; a folder being written has no manifest yet."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        return all((folder / name).stat().st_size == size for name, (size, _) in manifest.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return not (folder / MANIFEST).exists() and (folder / 'state.json').is_file() and \
            not folder.name.endswith('.new')    # version 1


def damage(folder):
    """What is wrong with the first file of a checkpoint that is missing or cut off; '' when nothing is, or no folder
    is there."""
    if not folder.is_dir():
        return ''
    try:
        sizes = {name: size for name, (size, _) in json.loads((folder / MANIFEST).read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return f'{MANIFEST} is missing or cannot be read'
    for name, size in sizes.items():
        if not (folder / name).is_file():
            return f'{name} is missing'
        if (folder / name).stat().st_size != size:
            return f'{name} has {count((folder / name).stat().st_size, "byte")} instead of {size:,}'
    return ''


def find(run, which='last'):
    """The complete checkpoint `which` of a run folder, or None.

    It is RUN/`which`; where a crash left that without its folder, the newest complete one that lies in the run.
    """
    run = pathlib.Path(run)
    store = run / STORE
    others = sorted(store.glob(f'{which}-*'), key=lambda path: path.name, reverse=True)
    others.sort(key=lambda path: path.name.endswith('.new'))
    candidates = [run / which, *others, run / f'{which}.old']
    return next((folder for folder in candidates if folder.is_dir() and complete(folder)), None)


def check_unused(folder):
    """UserError when a new run cannot have this folder, because it holds one."""
    folder = pathlib.Path(folder)
    damaged = any(not path.name.endswith('.new') for path in (folder / STORE).glob('*'))
    if damaged or find(folder) or (folder / 'result.json').exists():
        raise UserError(f'--save_dir={folder} already holds a run. Fix: --resume={folder} goes on with it, another '
                        '--save_dir starts a new one')


def locate(source, which='last'):
    """The checkpoint of a run folder, or a checkpoint folder itself.

    Raises UserError when there is none.
    """
    source = pathlib.Path(source)
    found = source if (source / 'state.json').is_file() else find(source, which) or find(source, 'last')
    if found is None:
        wrong = damage(source / which)
        other = find(source, 'best')
        if wrong and other:
            raise UserError(f'{source / which} is damaged: {wrong}. Fix: go on from the best epoch, {other}, or '
                            'copy the folder again from where it was written')
        if wrong:
            raise UserError(f'{source / which} is damaged: {wrong}, and {source} holds no other complete checkpoint. '
                            'Fix: copy the folder again from where it was written, or start a new run')
        raise UserError(f'{source} holds no checkpoint: expected {source}/{which}/state.json. Fix: the folder that '
                        'training printed')
    return found


def run_of(source):
    """The run folder of what `locate` takes: RUN for RUN, for RUN/last and for RUN/checkpoints/last-00000120."""
    source = pathlib.Path(source)
    if not (source / 'state.json').is_file():
        return source
    parent = source.parent if source.name else source.resolve().parent
    return parent.parent if parent.name == STORE else parent


def read_args(folder):
    """The flags that the checkpoint was made with. Raises UserError for a damaged file."""
    path = pathlib.Path(folder) / 'args.json'
    verify(folder, path.name)
    args = read_json(path)
    for key in ('loss', 'data_name'):
        if not isinstance(args.get(key), str):
            raise UserError(f'{path} is damaged: it does not say --{key}. {COPY}')
    return args


def read_state(folder):
    """The loop's state. Raises UserError for a damaged file, or one of a later version."""
    verify(folder, 'state.json')
    state = read_json(pathlib.Path(folder) / 'state.json')
    check(state, f'{folder}/state.json')
    return state


def verify(folder, *only):
    """Raises UserError naming the file of a checkpoint that is not what was written. only : names; none: all."""
    folder = pathlib.Path(folder)
    if not (folder / MANIFEST).exists():
        return    # version 1 had none
    manifest = read_json(folder / MANIFEST)
    for name in only or manifest:
        path, entry = folder / pathlib.PurePath(name).name, manifest.get(name)
        if not path.is_file():
            raise UserError(f'{path} is missing, or {folder / MANIFEST} is damaged. {COPY}')
        if not isinstance(entry, list) or [path.stat().st_size, checksum(path)] != entry:
            raise UserError(f'{path} is damaged: its checksum is not that of {MANIFEST}. {COPY}')


def restore(folder, net, criterion, ctx, update=None, allow_pickle=False):
    """Load parameters in place and, given `update`, the states of the optimizers.

    Parameters
    ----------
    folder : of the checkpoint
    net, criterion : as they were built for it
    ctx : list of contexts; the criterion's parameters lie on the first
    update : engine.update.Update, or None where nothing is trained
    allow_pickle : read the optimizer states of version 1, a pickle, which can run any code that it likes

    Returns
    -------
    (state of the loop, plans of the running epoch or None)

    Raises
    ------
    UserError : naming the file that is damaged or does not fit
    """
    folder = pathlib.Path(folder)
    verify(folder)
    state = read_state(folder)
    if state['version'] > 1 and not (folder / MANIFEST).exists():
        raise UserError(f'{folder / MANIFEST} is missing: the checkpoint is damaged. {COPY}')
    file = folder / 'net.params'
    weights.restore(net, weights.load_file(file), file)
    file, own = folder / 'criterion.params', named_parameters(criterion)
    arrays = load_arrays(file) if own else {}
    if {name: array.shape for name, array in arrays.items()} != {name: p.shape for name, p in own.items()}:
        raise UserError(f'{file} does not fit --loss: it holds {sorted(arrays)}, the loss has {sorted(own)}. '
                        'Fix: the --loss that the run was trained with')
    for name, parameter in own.items():
        parameter.set_data(arrays[name].as_in_context(ctx[0]))
    if update is not None and state['version'] == 1:
        update.restore_pickles([unpickled(folder / f'trainer{i}.states', allow_pickle)
                                for i in range(len(update.trainers))])
    elif update is not None:
        update.restore(load_arrays(folder / 'optimizer.params'), state['optimizers'], folder / 'optimizer.params')
    plans = folder / 'plans.npz'
    return state, plans_file.load(plans) if plans.exists() else None


def unpickled(path, allowed):
    """The (states, optimizer) of version 1."""
    if not allowed:
        raise UserError(f'{path} is a Python pickle of an older version, and a pickle can run code. Fix: if this run '
                        'is your own, --allow_pickle')
    try:
        return pickle.loads(path.read_bytes())
    except Exception as error:    # a damaged pickle can raise anything
        raise UserError(f'{path} is damaged ({error}). {COPY}') from error
