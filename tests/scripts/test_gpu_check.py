"""The GPU check where there is no GPU: what it says of a newer card, where nothing runs, and how it ends a recipe."""

import argparse
import os
import subprocess
import time
import types

from scripts.benchmarks import gpu

ARGS = argparse.Namespace(gpu_idx='cpu', vectors='', networks='convnet:24:16', iterations=6, items=500,
                          recipe_seconds=0)


def test_a_newer_card_is_told_that_the_first_call_takes_minutes(monkeypatch):
    monkeypatch.setenv('MXNET_CUDNN_AUTOTUNE_DEFAULT', '')
    monkeypatch.delenv('MXNET_CUDNN_AUTOTUNE_DEFAULT')

    def answer(line):
        monkeypatch.setattr(subprocess, 'run', lambda *words, **options: types.SimpleNamespace(stdout=line))
        return dict(gpu.card('0'))
    older = answer('NVIDIA A10, 535.54.03, 8.6, 23028 MiB\n')
    assert older == {'card': 'NVIDIA A10, 23028 MiB', 'driver': '535.54.03', 'compute capability': '8.6'}
    assert 'MXNET_CUDNN_AUTOTUNE_DEFAULT' not in os.environ
    newer = answer('NVIDIA H100 80GB HBM3, 550.1, 9.0, 81559 MiB\n')
    assert 'compiles for minutes' in newer['note'] and 'MXNET_CUDNN_AUTOTUNE_DEFAULT=0' in newer['note']
    assert os.environ['MXNET_CUDNN_AUTOTUNE_DEFAULT'] == '0'


def test_where_nothing_runs_the_table_says_which_cards_do_and_what_else_there_is(monkeypatch, capsys):
    def fails(args):
        raise RuntimeError('first line\nno kernel image is available for execution on the device')
    monkeypatch.setattr(gpu, 'first_call', fails)
    rows = dict(gpu.run(ARGS))
    assert rows['first convolution'] == 'FAILED: no kernel image is available for execution on the device'
    assert all(words in rows['what now'] for words in ('8.6', 'A100', '--gpu_idx=cpu', '--format=onnx'))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == 'not as it should be: first convolution' and lines[-3].startswith('| what now |')


def test_a_check_that_fails_leaves_the_others(monkeypatch):
    def fails(*args):
        raise MemoryError
    for name in ('all_losses', 'evaluation'):
        monkeypatch.setattr(gpu, name, fails)
    monkeypatch.setattr(gpu, 'first_call', lambda args: '1 s')
    monkeypatch.setattr(gpu, 'training', lambda *args: {'float32': 50, 'float16': 75}[args[-1]])
    monkeypatch.setattr(gpu, 'card', lambda gpu_idx: [])
    monkeypatch.setattr('core.device.contexts', lambda gpu_idx: [None])
    rows = dict(gpu.run(argparse.Namespace(**dict(vars(ARGS), gpu_idx='0'))))
    assert rows['losses, one step against the CPU'] == rows['evaluation, 500 x 512'] == 'FAILED: MemoryError'
    assert rows['training, convnet, 24 px, batch 16'] == '50 images/s; --dtype=float16 75: faster, 1.50x'


def test_the_recipe_ends_with_what_it_started(monkeypatch, tmp_path):
    (tmp_path / 'scripts').mkdir()
    (tmp_path / 'scripts/quickstart.sh').write_text("echo 'epoch    0  loss 1'\nsleep 100\necho never\n")
    monkeypatch.setattr(gpu, 'ROOT', tmp_path)
    started = time.perf_counter()
    assert gpu.recipe(argparse.Namespace(gpu_idx='cpu', recipe_seconds=1)) == 'epoch    0  loss 1'
    assert time.perf_counter() - started < 60
    (tmp_path / 'scripts/quickstart.sh').write_text('echo still setting up\n')
    assert gpu.recipe(argparse.Namespace(gpu_idx='cpu', recipe_seconds=50)).endswith('last line: still setting up')
