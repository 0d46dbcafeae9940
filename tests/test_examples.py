"""Every example runs as it stands, and its numbers are what it claims."""

import pathlib

import pytest

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
