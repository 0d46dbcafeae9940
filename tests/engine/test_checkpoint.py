"""Checkpoints: no crash at any file operation, and at any two, loses them; damaged ones are named."""

import contextlib
import os
import pickle
import shutil
import sys
import types

import numpy as np
import pytest

from core.contracts import Plan
from core.errors import UserError
from core.gluon_internals import named_parameters
from core.runtime import gluon, nd
from engine import checkpoint, plans_file

STEP = int(os.environ.get('GLUON_DML_FAULT_STEP', 9))    # 1: every second operation of a pair, in minutes
OPERATIONS = {'open', 'os.rename', 'os.remove', 'os.mkdir', 'os.rmdir', 'os.symlink'}


class Killed(BaseException):
    """The process is gone: nothing that it still wanted to do happens."""


class Faults:
    """Lets file operations fail: `failing` = {number of the operation from 0: what is raised}.

    A Killed stays: every later operation raises it too, until `armed` ends.
    """

    active, count, failing, dead = False, 0, {}, False

    def operation(self):
        """One file operation is about to happen."""
        if not self.active:
            return
        number, self.count = self.count, self.count + 1
        if self.dead:
            raise Killed
        if number in self.failing:
            self.dead = self.failing[number] is Killed
            raise Killed if self.dead else OSError(28, 'No space left on device')

    @contextlib.contextmanager
    def armed(self, failing=None):
        """Count the operations of a block, and let some fail."""
        self.active, self.count, self.failing, self.dead = True, 0, failing or {}, False
        try:
            yield
        finally:
            self.active = False


FAULTS = Faults()


@pytest.fixture(scope='module')
def hooked():
    """Python reports every file operation to FAULTS."""
    sys.addaudithook(lambda event, args: FAULTS.operation() if event in OPERATIONS else None)


class Net:
    """A network of one weight, whose value says which checkpoint it belongs to."""

    def __init__(self):
        self.value = 0

    def collect_params(self):
        return {'weight': types.SimpleNamespace(shape=(3,))}

    def save(self, file):
        checkpoint.nd.save(file, {'weight': nd.full((3,), self.value)})


class Update:
    """States of an optimizer."""

    def arrays(self):
        return {'state/0/0/': nd.zeros((2,))}

    def description(self):
        return []


class Tiny(gluon.Block):
    """A criterion without parameters."""


@pytest.fixture
def written(tmp_path, monkeypatch, hooked):
    """write(n): the checkpoint `last` of iteration n; value(): the iteration whose checkpoint is found."""
    save, net = nd.save, Net()

    def watched(file, arrays):
        FAULTS.operation()
        save(file, arrays)

    monkeypatch.setattr(checkpoint, 'nd', types.SimpleNamespace(save=watched, load=nd.load, array=nd.array))
    monkeypatch.setattr(os, 'fsync', lambda handle: None)
    criterion = Tiny()

    def write(n):
        net.value = n
        state = {'epoch': n, 'step': 0, 'iteration': n, 'best': {}, 'last': {}, 'num_classes': 2}
        checkpoint.write(tmp_path, 'last', net, criterion, Update(), state, {'loss': 'margin', 'data_name': 'glyphs'})

    def value():
        folder = checkpoint.find(tmp_path)
        checkpoint.verify(folder)
        iteration = checkpoint.read_state(folder)['iteration']
        assert nd.load(str(folder / 'net.params'))['weight'].asnumpy().tolist() == [iteration] * 3
        return iteration
    return types.SimpleNamespace(write=write, value=value, folder=tmp_path)


def operations(written):
    """Number of file operations of one more checkpoint."""
    with FAULTS.armed():
        written.write(2)
    return FAULTS.count


def begin_again(written):
    """Only the checkpoint of iteration 1."""
    for path in written.folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    written.write(1)


def test_a_checkpoint_replaces_the_older_one_and_leaves_nothing_else(written):
    for n in (1, 2, 3):
        written.write(n)
        assert written.value() == n
    assert sorted(path.name for path in written.folder.iterdir()) == ['checkpoints', 'last']
    assert [path.name for path in (written.folder / 'checkpoints').iterdir()] == ['last-00000003']
    assert os.readlink(written.folder / 'last') == 'checkpoints/last-00000003'
    written.write(3)    # the same iteration once more
    assert written.value() == 3 and checkpoint.find(written.folder).resolve().name == 'last-00000003.1'


def test_a_full_disk_at_any_operation_and_at_any_two_leaves_a_good_checkpoint(written):
    written.write(1)
    number = operations(written)
    assert number > 20
    for first in range(number):
        for second in (None, *range(first + 1, number + 8, STEP)):
            begin_again(written)
            failing = dict.fromkeys((first,) if second is None else (first, second), OSError)
            with contextlib.suppress(UserError), FAULTS.armed(failing):
                written.write(2)
            assert written.value() in (1, 2), (first, second)
        written.write(3)
        assert written.value() == 3


def test_a_kill_at_any_operation_and_at_any_two_leaves_a_good_checkpoint(written):
    written.write(1)
    number = operations(written)
    for first in range(number):
        begin_again(written)
        with contextlib.suppress(Killed), FAULTS.armed({first: Killed}):
            written.write(2)
        after = written.value()
        assert after in (1, 2), first
        kept = written.folder.with_name('kept')
        shutil.copytree(written.folder, kept, symlinks=True)
        for second in range(first % STEP, number + 8, STEP):
            shutil.rmtree(written.folder)
            shutil.copytree(kept, written.folder, symlinks=True)
            with contextlib.suppress(Killed), FAULTS.armed({second: Killed}):
                written.write(3)
            assert written.value() in (after, 3), (first, second)
        written.write(4)
        assert written.value() == 4
        assert len(list((written.folder / 'checkpoints').iterdir())) == 1
        shutil.rmtree(kept)


def test_one_checkpoint_under_two_names_is_two_sets_of_files(written):
    written.write(1)
    last = (written.folder / 'last').resolve()
    best = checkpoint.again(written.folder, 'best', last, 1)
    assert os.readlink(written.folder / 'best') == 'checkpoints/best-00000001'
    checkpoint.verify(best)
    written.write(2)
    assert checkpoint.read_state(checkpoint.find(written.folder, 'best'))['iteration'] == 1
    with FAULTS.armed({4: OSError}), pytest.raises(UserError, match='The last good checkpoint is still .*best'):
        checkpoint.again(written.folder, 'best', last.with_name('last-00000002'), 2)
    assert checkpoint.read_state(checkpoint.find(written.folder, 'best'))['iteration'] == 1


def test_a_copy_that_followed_the_link_and_a_folder_of_an_older_version_are_replaced(written):
    written.write(1)
    copy = written.folder / 'copy'
    shutil.copytree(written.folder / 'last', copy)
    (written.folder / 'last').unlink()
    copy.rename(written.folder / 'last')
    written.write(2)
    assert written.value() == 2 and (written.folder / 'last').is_symlink()


def damages(path):
    """(what was done, function that does it)."""
    content = path.read_bytes()
    middle = len(content) // 2
    yield 'cut off', lambda: path.write_bytes(content[:middle])
    yield 'a flipped bit', lambda: path.write_bytes(
        content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:])
    yield 'other content', lambda: path.write_bytes(b'[' * 100000)
    yield 'empty', lambda: path.write_bytes(b'')
    yield 'gone', path.unlink
    path.write_bytes(content)


@pytest.mark.parametrize('name', ['net.params', 'optimizer.params', 'args.json', 'state.json', 'manifest.json'])
def test_a_damaged_file_is_named(written, name):
    written.write(1)
    folder = (written.folder / 'last').resolve()
    for what, damage in damages(folder / name):
        damage()
        with pytest.raises(UserError) as error:
            checkpoint.read_args(folder)
            checkpoint.restore(folder, None, None, None)
        assert name in str(error.value), what


def test_a_flipped_dimension_takes_no_memory_without_a_manifest(tmp_path):
    nd.save(str(tmp_path / 'x.params'), {'weight': nd.zeros((4, 4))})
    content = bytearray((tmp_path / 'x.params').read_bytes())
    place = content.index((4).to_bytes(8, 'little') * 2)
    content[place + 3] = 64    # 4 -> 2^30 rows
    (tmp_path / 'x.params').write_bytes(bytes(content))
    with pytest.raises(UserError, match='x.params'):
        checkpoint.load_arrays(tmp_path / 'x.params')


def test_plans_come_back_and_damaged_ones_are_named(tmp_path):
    rng = np.random.RandomState(0)
    plans = [Plan(rng.randint(9, size=4), rng.randint(2 ** 32, size=4, dtype=np.uint32), extra)
             for extra in (None, lambda: np.arange(6).reshape(3, 2))]
    plans_file.save(tmp_path / 'plans.npz', plans)
    for before, after in zip(plans, plans_file.load(tmp_path / 'plans.npz')):
        np.testing.assert_array_equal(before.index, after.index)
        np.testing.assert_array_equal(before.seed, after.seed)
        assert (before.extra is None) == (after.extra is None)
    assert after.extra().tolist() == [[0, 1], [2, 3], [4, 5]]
    content = (tmp_path / 'plans.npz').read_bytes()
    for damaged in (content[:100], b'', b'no archive', content[:-30]):
        (tmp_path / 'plans.npz').write_bytes(damaged)
        with pytest.raises(UserError, match='plans.npz'):
            plans_file.load(tmp_path / 'plans.npz')


def test_a_pickle_of_an_older_version_is_read_only_when_asked(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'ran'),)
    path = tmp_path / 'trainer0.states'
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match='trainer0.states is a Python pickle.*--allow_pickle'):
        checkpoint.unpickled(path, False)
    assert not (tmp_path / 'ran').exists()
    path.write_bytes(b'nothing')
    with pytest.raises(UserError, match='trainer0.states is damaged'):
        checkpoint.unpickled(path, True)


def test_what_a_resume_can_be_given(written):
    written.write(1)
    run, inside = written.folder, (written.folder / 'last').resolve()
    for source in (run, run / 'last', inside):
        assert checkpoint.locate(source).resolve() == inside
        assert checkpoint.run_of(source) == run
    with pytest.raises(UserError, match='holds no checkpoint'):
        checkpoint.locate(run / 'figures')


def test_a_damaged_only_checkpoint_is_named(written):
    """Not "holds no checkpoint": the file that is cut off or missing is what the user has to bring back."""
    written.write(1)
    inside = (written.folder / 'last').resolve()
    size = (inside / 'net.params').stat().st_size
    os.truncate(inside / 'net.params', 1)
    with pytest.raises(UserError, match=f'last is damaged: net.params has 1 byte instead of {size:,}, and .* no other'):
        checkpoint.locate(written.folder)
    (inside / 'net.params').unlink()
    with pytest.raises(UserError, match='last is damaged: net.params is missing'):
        checkpoint.locate(written.folder)
    with pytest.raises(UserError, match='already holds a run'):     # a new one would take its logs away
        checkpoint.check_unused(written.folder)
    shutil.copytree(inside, inside.with_name('best-1'))
    (inside.with_name('best-1') / 'manifest.json').write_text('{}')
    with pytest.raises(UserError, match='Fix: go on from the best epoch, .*/best'):
        checkpoint.locate(written.folder)


def test_a_criterion_without_parameters_has_no_file(written):
    assert named_parameters(Tiny()) == {}
    written.write(1)
    assert not (written.folder / 'last/criterion.params').exists()
