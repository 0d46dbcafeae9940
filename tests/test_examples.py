"""Every example runs as it stands, and its numbers are what it claims."""

import pathlib

import cv2
import numpy as np
import pytest

import main as program

EXAMPLES = sorted(path for path in (pathlib.Path(__file__).resolve().parents[1] / 'examples').glob('*.py')
                  if path.stem != '__init__')


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_named_in_the_readme(path):
    assert len(path.read_text(encoding='utf-8').splitlines()) < 50
    assert f'examples/{path.name}' in (path.parents[1] / 'README.md').read_text(encoding='utf-8')


def test_a_loss_in_an_own_loop():
    from examples import own_loop
    before, after = own_loop.main()
    assert before < 0.4 and after > 0.95


def test_scores_of_arrays():
    from examples import score_arrays
    result = score_arrays.main()
    assert result['recall'] == pytest.approx({'1': 0.78, '2': 0.888, '4': 0.943, '8': 0.98}, abs=0.01)
    assert result['map_at_r'] == pytest.approx(0.338, abs=0.01)
    assert result['nmi_arithmetic'] == pytest.approx(0.78, abs=0.03)


def test_pictures_embedded_by_a_trained_run(tmp_path):
    from examples import embed_photos
    run = tmp_path / 'run'
    assert program.main(['--loss=hphn_triplet', f'--data_dir={tmp_path / "letters"}', '--data_name=glyphs',
                         '--glyphs_classes=8', '--glyphs_instances=8', '--batch_size=16', '--num_instances=4',
                         '--epochs=1', '--train_iters=1', '--figures=0', f'--save_dir={run}']) == 0
    paths = []
    for name, seed in (('a', 0), ('b', 1), ('same', 0)):
        paths.append(str(tmp_path / f'{name}.png'))
        cv2.imwrite(paths[-1], np.random.RandomState(seed).randint(0, 256, (60, 40, 3)).astype(np.uint8))
    found = embed_photos.main(str(run), paths)
    assert {path for _, path in found[:2]} == {paths[0], paths[2]}
    assert [cosine for cosine, _ in found[:2]] == pytest.approx([1, 1], abs=1e-5) and found[2][0] < 0.9999
