"""The runner of recorded vectors: it passes what was recorded, notices wrong numbers, counts what it cannot do."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from tests.reference import Case, Difference
from tests.reference.__main__ import family_of, load_papers, main, run
from tests.shared import SHARED, needs_shared

FOLDER = SHARED / 'reference' if SHARED else pathlib.Path()


def smallest_of_each_family():
    """{(paper, prefix): path of its smallest file}."""
    papers, found = load_papers(), {}
    for path in sorted(FOLDER.rglob('*.npz'), key=lambda p: (p.stat().st_size, p.name)):
        found.setdefault(family_of(path, Case(path), papers), path)
    return {known: path for known, path in found.items() if None not in known}


def write(path, params=None, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, param_json=np.array([json.dumps(params or {})]), **arrays)


@needs_shared
def test_every_recorded_file_passes(capsys):
    assert main([str(FOLDER)]) == 0, capsys.readouterr().out
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == '{} passed, 0 failed, 0 not implemented'.format(len(list(FOLDER.rglob('*.npz'))))


@needs_shared
def test_a_wrong_number_under_any_compared_key_is_noticed():
    papers, missed = load_papers(), []
    for (paper, prefix), path in smallest_of_each_family().items():
        check, case = papers[paper].FAMILIES[prefix], Case(path)
        check(case)
        assert case.compared, path
        for key in sorted(case.compared):
            damaged = Case(path)
            values = damaged.arrays[key] = np.array(damaged.arrays[key])
            last = np.unravel_index(values.size - 1, values.shape)
            off = values[last] + max(1, np.abs(np.nan_to_num(values)).max() * 0.01)
            values[last] = 7 if np.isnan(off) else off
            try:
                check(damaged)
                missed.append(f'{path.name}: {key}')
            except Exception:  # a Difference, or a crash that the runner counts as a failure too
                continue
    assert missed == []


@needs_shared
def test_one_flat_folder_is_told_apart_by_keys(tmp_path):
    chosen = smallest_of_each_family()
    for (paper, prefix), path in chosen.items():
        shutil.copy(path, tmp_path / (path.stem + f'_{paper[:2]}_{prefix}.npz'))
    passed, failed, missing = run(tmp_path, write=lambda line: None)
    assert (passed, failed, missing) == (len(chosen), 0, 0)


def test_what_no_check_knows_counts_as_not_implemented(tmp_path, capsys):
    write(tmp_path / 'embedding_expansion' / 'surprise_3.npz', out_x=np.zeros(2))
    assert main([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ['embedding_expansion/surprise', '0', 'passed,', '1', 'not', 'implemented']
    assert lines[-1] == '0 passed, 0 failed, 1 not implemented'


def test_a_damaged_file_is_a_failure_and_the_others_still_run(tmp_path, capsys):
    (tmp_path / 'aug_n1.npz').write_bytes(b'PK not an archive')
    write(tmp_path / 'deeper' / 'down' / 'poly_lr_9.npz',
          {'learning_rate': 1.0, 'end_learning_rate': 0.5, 'train_iters': 10, 'power': 1},
          in_step=np.array([0, 5, 10, 99]), out_lr=np.array([1, 0.75, 0.5, 0.5]))
    assert main([str(tmp_path), '--verbose']) == 1
    out = capsys.readouterr().out
    assert 'ranking_regularizer/poly_lr' in out and out.splitlines()[-1] == '1 passed, 1 failed, 0 not implemented'
    assert 'aug_n1.npz' in out


def test_a_folder_without_files_is_no_success(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == '0 passed, 0 failed, 0 not implemented'
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / 'absent')])
    assert stop.value.code == 2


def test_close_takes_nan_for_nan_and_nothing_else(tmp_path):
    write(tmp_path / 'x.npz', out_a=np.array([1.0, np.nan]), grad_a=np.array([100.0, 0.0]))
    case = Case(tmp_path / 'x.npz')
    case.close('out_a', [1.00001, np.nan])
    for wrong in ([1.0, 0.0], [np.nan, np.nan], [1.001, np.nan], [1.0], [1.0, np.inf]):
        with pytest.raises(Difference, match='out_a'):
            case.close('out_a', wrong)
    case.close_gradient('grad_a', [100.005, 0.0009])
    with pytest.raises(Difference, match='grad_a'):
        case.close_gradient('grad_a', [100.0, 0.0011])
    with pytest.raises(Difference, match='out_a'):
        case.equal('out_a', [1.0000001, np.nan])
