"""Every benchmark runs at a tiny size and prints its table. Nothing here asserts a speed."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import losses
import models

ROOT = pathlib.Path(__file__).resolve().parents[2]
TORCH_PYTHON = os.environ.get('TORCH_PYTHON', sys.executable)    # a Python with torch and pytorch-metric-learning
HAS_TORCH = subprocess.run([TORCH_PYTHON, '-c', 'import torch, pytorch_metric_learning'],
                           capture_output=True).returncode == 0


def benchmark(*words, status=0):
    """What `scripts/benchmark.py` prints, on one thread: the tests may not be alone on the machine."""
    done = subprocess.run([sys.executable, 'scripts/benchmark.py', *words], cwd=ROOT, text=True, capture_output=True,
                          env=dict(os.environ, OMP_NUM_THREADS='1'), timeout=300)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def numbers(path, *words):
    """What a benchmark measured, from the file that it writes."""
    benchmark(*words, f'--json={path}')
    return json.loads(path.read_text())


def test_every_loss_has_its_line(tmp_path):
    found = numbers(tmp_path / 'losses.json', 'losses', '--batch_size=8', '--num_instances=2', '--embed_dim=12',
                    '--steps=1', '--warmup=0', '--rounds=1', '--threads=1', '--ours_only')
    assert {row.split()[0] for row in found} == set(losses.LOSSES)
    assert all(row['ours'] > 0 and row['theirs'] is None for row in found.values())


@pytest.mark.skipif(not HAS_TORCH, reason='TORCH_PYTHON has no torch and pytorch-metric-learning')
def test_the_same_loss_has_the_same_value_and_gradient(tmp_path):
    found = numbers(tmp_path / 'losses.json', 'losses', '--batch_size=16', '--num_instances=4', '--embed_dim=33',
                    '--steps=1', '--warmup=0', '--rounds=1', '--threads=1', '--torch_python=' + TORCH_PYTHON)
    assert {row.split()[0] for row in found} == set(losses.LOSSES)
    differ = {row for row, numbers in found.items() if not numbers['same']}
    # other negatives, drawn or all; ties that share the gradient
    assert differ <= {'margin', 'triplet_semihard', 'softmax_ranking semi_hard', 'hphn_triplet n_inner_pts=2'}


def test_losses_without_torch_say_so():
    text = benchmark('losses', '--losses=npair', '--batch_size=8', '--embed_dim=4', '--steps=1', '--rounds=1',
                     '--torch_python=/nowhere/python')
    assert 'PyTorch is left out: /nowhere/python has no torch' in text
    assert text.splitlines()[-1].split()[0] == 'npair'


def test_step():
    text = benchmark('step', '--backbone=convnet', '--image_size=32', '--network_batch=2', '--batch_size=8',
                     '--num_instances=2', '--embed_dim=16', '--rounds=1', '--steps=1')
    assert 'convnet forward and backward' in text and 'measured with 2 and scaled' in text
    assert text.splitlines()[-1].startswith('share of the loss') and text.rstrip().endswith('%')


def test_heads():
    text = benchmark('heads', '--backbone=convnet', '--image_size=32', '--batch_size=4', '--num_instances=2',
                     '--embed_dim=8', '--classes=5', '--steps=1', '--warmup=0', '--rounds=1', '--modes=hard,center')
    lines = [line.split() for line in text.splitlines()[2:]]
    assert [line[0] for line in lines] == ['vanilla', 'hard', 'center']
    parameters = {line[0]: int(line[-1].replace(',', '')) for line in lines}
    assert parameters['hard'] == parameters['center'] > parameters['vanilla']


def test_neighbourhoods():
    text = benchmark('neighbourhoods', '--images=300', '--dim=8', '--batch_size=30', '--small_images=200',
                     '--small_dim=6')
    assert '10 batches' in text and 'peak memory' in text
    assert text.splitlines()[-1].startswith('ours is')


def test_names():
    assert 'neighbourhoods' in benchmark() and 'evaluation' in benchmark('--help')
    assert 'Did you mean losses' in benchmark('loses', status=2)
    assert '--modes=soft is unknown' in benchmark('heads', '--modes=soft', status=2)
    assert '--losses=nothing is unknown' in benchmark('losses', '--losses=npair,nothing', '--ours_only', status=2)


def test_the_gpu_check_with_the_cpu_in_its_place():
    lines = benchmark('gpu', '--gpu_idx=cpu', '--networks=convnet:24:16', '--iterations=6', '--items=500',
                      '--recipe_seconds=0').splitlines()
    table = dict(line.strip('| ').split(' | ') for line in lines if line.startswith('| '))
    assert table['card'] == 'none: the CPU stands in its place'
    assert ' equal within 0.0e+00 ' in table['losses, one step against the CPU']
    assert table['first convolution'].endswith(' s with the start of the process')
    assert table['training, convnet, 24 px, batch 16'].endswith(' images/s; float16 needs a GPU')
    assert lines[-1] == 'everything is as it should be'
    assert table['evaluation, 500 x 512'].endswith('the same numbers')


def test_chunks_take_less_memory():
    text = benchmark('chunks', '--backbone=convnet', '--image_size=48', '--batch_size=64', '--num_instances=8',
                     '--embed_dim=8', '--grad_chunk=0,8')
    whole, parts = (int(line.split()[2]) for line in text.splitlines()[2:])
    assert parts < whole / 2


def test_workers_exchange_every_gradient_once_there_and_back():
    text = benchmark('workers', '--counts=2', '--backbone=convnet', '--image_size=24', '--batch_size=16', '--steps=4')
    two, _, megabytes = text.splitlines()[-1].split()
    net = models.build('convnet', embed_dim=128, image_size=24)
    parameters = sum(int(np.prod(p.shape)) for p in net.collect_params().values() if p.grad_req != 'null')
    assert two == '2' and float(megabytes) == pytest.approx(2 * 4 * parameters / 1e6, rel=0.2)


def test_a_million_vectors_in_small(tmp_path):
    lines = benchmark('million', '--items=3000', '--dim=16', '--classes=600', f'--json={tmp_path}/m.json').splitlines()
    assert lines[1].startswith('bare products') and lines[2].startswith('150 of them took')
    assert lines[3].startswith('3000 x 16, 600 classes') and 0 < float(lines[3].split('MAP@R ')[1]) < 0.1
    found = json.loads((tmp_path / 'm.json').read_text())
    assert found['seconds'] > 0 and found['bare'] > 0 and 0 < found['peak'] < 4e9


def test_an_array_beyond_the_memory_of_the_million_is_refused():
    done = subprocess.run([sys.executable, '-c', """
import argparse, numpy as np
from scripts.benchmarks import million
million.write_unit_vectors = lambda *args: np.ones(2 ** 30)
million.run(argparse.Namespace(items=1000, dim=16, classes=10))"""], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode and 'Unable to allocate 8.00 GiB' in done.stderr


def test_the_parts_of_an_evaluation_add_up_to_its_ratio():
    lines = benchmark('evaluation', '--items=12000', '--dim=64', '--classes=2400', '--rounds=1', '--beside=',
                      '--data=random').splitlines()
    ours = next(line for line in lines if line.startswith('ours'))
    parts = [line for line in lines if line.startswith('    of this')]
    total, *of_it = (float(line.split(' s ')[0].split()[-1]) for line in (ours, *parts))
    # each figure is printed to a hundredth of a second
    assert len(of_it) == 6 and sum(of_it) == pytest.approx(total, abs=0.04) and of_it[0] > 0


def test_merged_convolutions_have_the_same_gradients():
    text = benchmark('merge', '--batch_size=4', '--image_size=64', '--rounds=2', '--threads=1')
    assert text.startswith('googlenet: 9 blocks merged')
    assert float(text.split('differ by ')[1].split()[0]) < 0.1      # 1 where a gradient is wrong
