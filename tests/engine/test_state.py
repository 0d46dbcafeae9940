"""A checkpoint's state.json and args.json from outside: what training does not write is refused, by name."""

import hashlib
import json
import shutil

import pytest

import main
from core.errors import UserError
from engine import state

GOOD = {'version': 2, 'epoch': 1, 'step': 0, 'iteration': 6, 'num_classes': 4, 'loss_sum': 0.5, 'schedule': {'lr': 0.1},
        'best': {'test': {'recall': {'1': 0.5}, 'epoch': 0}}, 'last': {}, 'started': True}


@pytest.mark.parametrize('key, value', [
    ('version', '2'), ('version', [2]), ('epoch', -1), ('epoch', '1'), ('epoch', None), ('iteration', 1e30),
    ('step', True),
    ('num_classes', 1 << 60), ('best', []), ('best', {'test': 3}), ('last', {'test': {'recall': [], 'epoch': 1}}),
    ('last', {'test': {'recall': {}, 'epoch': 1}}), ('loss_sum', 'x'), ('started', 1), ('schedule', {'lr': 'x'}),
    ('optimizers', {})])
def test_a_value_of_another_kind_is_named(key, value):
    state.check(GOOD, 'state.json')
    with pytest.raises(UserError, match=f'state.json .*{key}'):
        state.check({**GOOD, key: value}, 'state.json')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    assert main.main(['--loss=margin', '--data_name=glyphs', '--glyphs_classes=4', '--glyphs_instances=4', '--epochs=1',
                      '--batch_size=8', '--num_instances=2', '--gpu_idx=cpu', '--figures=false', '--embed_dim=8',
                      '--image_size=24', f'--save_dir={folder}/run']) == 0
    return folder / 'run'


@pytest.mark.parametrize('name, changed', [
    ('args.json', {'lr': 'x'}), ('args.json', {'embed_dim': 'big'}), ('args.json', {'batch_size': None}),
    ('args.json', {'fold': 3}), ('args.json', {'gpu_idx': 0}), ('args.json', {'backbone': {'a': 1}}),
    ('state.json', {'optimizers': [{'name': 'adam'}, {'name': 'sgd'}]}), ('state.json', {'optimizers': [1]}),
    ('state.json', {'best': None}), ('state.json', {'schedule': {}, 'stopping': {'x': 1}})])
def test_a_file_with_a_right_checksum_and_wrong_content_is_refused(run, tmp_path, capsys, name, changed):
    shutil.copytree(run, tmp_path / 'run', symlinks=True)
    folder = (tmp_path / 'run' / 'last').resolve()
    content = json.dumps({**json.loads((folder / name).read_text()), **changed}).encode()
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / 'manifest.json').read_text())
    manifest[name] = [len(content), hashlib.sha256(content).hexdigest()]
    (folder / 'manifest.json').write_text(json.dumps(manifest))
    assert main.main([f'--resume={tmp_path}/run', '--epochs=2']) == 2
    assert name in capsys.readouterr().err
