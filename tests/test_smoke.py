"""The main commands once, in seconds: what must work before anything else is looked at."""

import json

import numpy as np

import main


def test_train_evaluate_and_embed_the_built_in_letters(tmp_path):
    run, data = tmp_path / 'run', str(tmp_path / 'letters')
    assert main.main(['--loss=hphn_triplet', '--n_inner_pts=2', '--data_name=glyphs', '--data_dir=' + data,
                      '--glyphs_classes=8', '--glyphs_instances=8', '--batch_size=16', '--num_instances=4',
                      '--epochs=1', '--train_iters=2', '--figures=0', f'--save_dir={run}']) == 0
    trained = json.loads((run / 'result.json').read_text())
    assert main.main(['evaluate', f'--checkpoint={run}', '--figures=0']) == 0
    again = json.loads((run / 'evaluation/result.json').read_text())
    assert again['recall'] == trained['recall'] and trained['iterations'] == 2
    assert main.main(['embed', f'--checkpoint={run}']) == 0
    with np.load(run / 'embeddings.npz') as file:
        norms = np.linalg.norm(file['embeddings'], axis=1)
    np.testing.assert_allclose(norms, 1.0, atol=1e-5)
