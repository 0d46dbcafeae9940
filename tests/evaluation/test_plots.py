"""Facts of the figures: pixels of frames, counts in bins, which pictures are shown."""

import json

import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from evaluation import plots
from evaluation.plots import panels, style


def flat_pictures(n):
    """read(i): a 40 x 30 picture of one grey value 10 * i, so that a shown picture tells its index."""
    return lambda i: np.full((40, 30, 3), 10 * i, np.uint8)


def pixel(path, x, y):
    with Image.open(path) as image:
        return image.convert('RGB').getpixel((x, y))


def test_every_figure_is_written_as_png_and_pdf(tmp_path):
    rng = np.random.RandomState(0)
    embeddings, labels = rng.normal(size=(30, 2)), rng.randint(3, size=30)
    log = [{'kind': 'step', 'step': 1, 'loss': 2.0}, {'kind': 'step', 'step': 2, 'loss': 1.0},
           {'kind': 'epoch', 'step': 2, 'seconds': 60.0, 'recall': {'1': 0.5}}]
    plots.tsne(embeddings, labels, tmp_path / 'tsne')
    plots.distribution_map(embeddings, labels, np.eye(3, 2), tmp_path / 'epoch000.png')
    plots.recall_curves({'a': log, 'b': [log, log]}, tmp_path / 'recall', baselines={'frozen': 0.3})
    plots.loss_curve({'a': log}, tmp_path / 'loss')
    plots.similarity_histogram(embeddings, labels, tmp_path / 'pairs')
    plots.confusion_matrix(np.eye(3), None, tmp_path / 'confusion')
    plots.tsne_thumbnails(embeddings, flat_pictures(30), tmp_path / 'thumbs')
    plots.retrieval_panel(flat_pictures(30), np.tile([1, 2], (3, 1)), labels, tmp_path / 'panel')
    names = {'tsne', 'epoch000', 'recall', 'loss', 'pairs', 'confusion', 'thumbs', 'panel'}
    assert {p.name for p in tmp_path.iterdir()} == {n + s for n in names for s in ('.png', '.pdf')}
    for file in tmp_path.glob('*.pdf'):
        assert file.read_bytes().startswith(b'%PDF-')
    assert Image.open(tmp_path / 'epoch000.png').size == (640, 640)  # 4 x 4 inches at 160 dpi, as the original


def test_retrieval_panel_frames_hits_green_and_misses_red(tmp_path):
    labels = np.array([0, 0, 1, 1, 0])
    neighbours = np.array([[1, 2, 4], [0, 2, 3], [3, 0, 1]])  # hits: T F T, T F F, T F F
    shown = plots.retrieval_panel(flat_pictures(5), neighbours, labels, tmp_path / 'p', which='best', n_queries=1)
    assert shown == [0]
    size = Image.open(tmp_path / 'p.png').size
    assert size == (panels.panel_cell(0, 4)[0], panels.panel_cell(1, 0)[1])
    middle = panels.BORDER + panels.CELL // 2
    for column, (color, picture) in enumerate([('#FFFFFF', 0), (style.HIT, 1), (style.MISS, 2), (style.HIT, 4)]):
        left, top = panels.panel_cell(0, column)
        assert left + panels.CELL + 2 * panels.BORDER <= size[0]
        assert pixel(tmp_path / 'p.png', left + 1, top + 1) == style.rgb(color)
        assert pixel(tmp_path / 'p.png', left + middle, top + 1) == style.rgb(color)
        assert pixel(tmp_path / 'p.png', left + middle, top + middle) == (10 * picture,) * 3


def test_ticks_and_crosses_differ_where_colors_are_not_seen(tmp_path):
    labels = np.array([0, 0, 1])
    plots.retrieval_panel(flat_pictures(3), np.array([[1, 2]]), labels, tmp_path / 'p')
    image = np.asarray(Image.open(tmp_path / 'p.png').convert('RGB'))
    badges = []
    for column in (1, 2):
        left, top = panels.panel_cell(0, column)
        right = left + panels.CELL + 2 * panels.BORDER
        badges.append((image[top:top + 22, right - 22:right] == 255).all(axis=2))
    assert badges[0].any() and badges[1].any() and (badges[0] != badges[1]).any()
    assert (badges[1] == badges[1][:, ::-1]).mean() > 0.9  # the cross is symmetric, the tick is not
    assert (badges[0] == badges[0][:, ::-1]).mean() < 0.9


def test_which_queries_are_shown():
    labels = np.arange(6)
    hits = np.array([[1, 1, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 1, 1]], bool)
    assert panels.choose_queries(hits, labels, 'best', 3) == [0, 4, 5]
    assert panels.choose_queries(hits, labels, 'worst', 3) == [3, 1, 2]
    assert sorted(panels.choose_queries(hits, labels, 'random', 9)) == list(range(6))
    twice = [panels.choose_queries(hits, labels, 'random', 2, seed=1) for _ in range(2)]
    assert twice[0] == twice[1]
    with pytest.raises(UserError, match='best, worst, random'):
        panels.choose_queries(hits, labels, 'median', 2)


def test_queries_come_from_many_classes_unless_that_would_hide_better_ones():
    labels = np.array([0, 0, 0, 1, 2])
    hits = np.array([[1, 1], [1, 1], [1, 1], [1, 1], [0, 0]], bool)
    assert set(labels[panels.choose_queries(hits, labels, 'best', 2)]) == {0, 1}
    assert 4 not in panels.choose_queries(hits, labels, 'best', 4)


def test_panel_takes_queries_of_their_own(tmp_path):
    labels = np.array([0, 1, 0, 1])
    shown = plots.retrieval_panel(flat_pictures(4), np.array([[0], [1]]), labels, tmp_path / 'p', queries=[2, 3],
                                  which='best')
    assert sorted(shown) == [2, 3]
    left, top = panels.panel_cell(1, 1)
    assert pixel(tmp_path / 'p.png', left + 1, top + 1) == style.rgb(style.HIT)
    with pytest.raises(UserError, match='3 queries, but neighbours of 2'):
        plots.retrieval_panel(flat_pictures(4), np.array([[0], [1]]), labels, tmp_path / 'p', queries=[1, 2, 3])


def brute_pairs(embeddings, labels, bins):
    rows = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    out = np.zeros((2, bins), int)
    for i in range(len(rows)):
        for j in range(i):
            place = min(bins - 1, max(0, int((rows[i] @ rows[j] + 1) * bins / 2)))
            out[int(labels[i] != labels[j]), place] += 1
    return out


@pytest.mark.parametrize('block', [7, 1024])
def test_pair_counts_equal_the_loop(block):
    rng = np.random.RandomState(1)
    embeddings, labels = rng.normal(size=(40, 5)).astype(np.float32), rng.randint(4, size=40)
    edges, positive, negative = plots.pair_counts(embeddings, labels, bins=10, block=block)
    expected = brute_pairs(embeddings, labels, 10)
    assert np.array_equal([positive, negative], expected)
    assert edges[0] == -1 and edges[-1] == 1 and positive.sum() + negative.sum() == 40 * 39 // 2


def test_pair_counts_of_a_sample_keep_every_positive_pair():
    rng = np.random.RandomState(1)
    embeddings, labels = rng.normal(size=(60, 5)).astype(np.float32), rng.randint(4, size=60)
    _, positive, negative = plots.pair_counts(embeddings, labels, bins=10, exact=10, sample=200000)
    expected = brute_pairs(embeddings, labels, 10)
    assert np.array_equal(positive, expected[0])
    assert np.abs(negative / negative.sum() - expected[1] / expected[1].sum()).max() < 0.01


def test_recall_curve_reads_steps_and_minutes_from_the_log():
    from evaluation.plots.curves import series
    log = [{'kind': 'step', 'step': 5, 'loss': 1.0},
           {'kind': 'epoch', 'epoch': 0, 'seconds': 30.0, 'recall': {'1': 0.2, '2': 0.3}},
           {'kind': 'epoch', 'epoch': 1, 'step': 10, 'seconds': 60.0},
           {'kind': 'epoch', 'epoch': 2, 'step': 15, 'seconds': 120.0, 'recall': {'1': 0.4}}]
    assert series(log, 1).tolist() == [[5, 15], [0.5, 2.0], [0.2, 0.4]]
    assert series(log, 2).tolist() == [[5], [0.5], [0.3]]
    with pytest.raises(UserError, match='Recall@8'):
        plots.recall_curves({'a': log}, 'nowhere', k=8)


def test_loss_curve_of_a_run_shorter_than_the_logging_interval(tmp_path):
    plots.loss_curve({'a': [{'kind': 'epoch', 'epoch': 0, 'step': 4, 'loss': 0.2}]}, tmp_path / 'loss')
    assert (tmp_path / 'loss.png').exists()
    with pytest.raises(UserError, match='no run has logged a loss'):
        plots.loss_curve({'a': [{'kind': 'step', 'step': 4}]}, tmp_path / 'none')


def test_tsne_separates_clusters_and_is_the_same_twice(tmp_path):
    rng = np.random.RandomState(0)
    labels = np.repeat(np.arange(3), 20)
    embeddings = 10 * np.eye(3, 64)[labels] + rng.normal(size=(60, 64))
    points, index = plots.tsne(embeddings, labels, tmp_path / 'a')
    again, _ = plots.tsne_points(embeddings)
    assert np.array_equal(points, again) and index.tolist() == list(range(60))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (labels[distance.argmin(axis=1)] == labels).all()
    few, rows = plots.tsne_points(embeddings, max_points=10)
    assert few.shape == (10, 2) and len(set(rows)) == 10


@pytest.mark.parametrize('embeddings', [np.ones((9, 4)), np.zeros((9, 4)), np.eye(2), np.eye(1),
                                        np.arange(9.0)[:, None]])
def test_tsne_of_degenerate_embeddings_is_finite(tmp_path, embeddings):
    points, _ = plots.tsne(embeddings, np.zeros(len(embeddings), int), tmp_path / 'a')
    assert points.shape == (len(embeddings), 2) and np.isfinite(points).all()


def test_thumbnails_read_only_what_they_draw(tmp_path):
    points = np.array([[0.0, 0.0], [0.001, 0.0], [1.0, 1.0]])
    read = []

    def reader(i):
        read.append(i)
        return np.full((10, 20, 3), 77, np.uint8)

    assert plots.tsne_thumbnails(points, reader, tmp_path / 'a', side=200, thumb=40) == 2 and read == [0, 2]
    assert pixel(tmp_path / 'a.png', 180, 20) == (77,) * 3 and pixel(tmp_path / 'a.png', 20, 180) == (77,) * 3
    assert pixel(tmp_path / 'a.png', 100, 100) == (255,) * 3
    assert plots.tsne_thumbnails((points, np.array([5, 6, 7])), reader, tmp_path / 'a', overlap=True) == 3
    assert read[2:] == [5, 6, 7]


def test_distribution_map_wants_two_or_three_dimensions(tmp_path):
    rng = np.random.RandomState(0)
    plots.distribution_map(rng.normal(size=(20, 3)), np.arange(20) % 4, np.eye(4, 3), tmp_path / 'm', normalise=False)
    with pytest.raises(UserError, match='--embed_dim=4'):
        plots.distribution_map(np.eye(4), np.arange(4), None, tmp_path / 'm')
    with pytest.raises(UserError, match='class weights'):
        plots.distribution_map(np.eye(2), np.arange(2), np.eye(3), tmp_path / 'm')


def test_bad_embeddings_are_refused_with_the_row(tmp_path):
    embeddings = np.ones((4, 2))
    embeddings[2, 1] = np.nan
    with pytest.raises(UserError, match='infinite numbers in row 2'):
        plots.tsne(embeddings, np.zeros(4), tmp_path / 'a')
    with pytest.raises(UserError, match='N labels'):
        plots.similarity_histogram(np.ones((4, 2)), np.zeros(3), tmp_path / 'a')
    assert not list(tmp_path.iterdir())


def test_confusion_matrix_with_many_classes_and_empty_ones(tmp_path):
    matrix = np.zeros((30, 30))
    matrix[0, 1] = 3
    plots.confusion_matrix(matrix, [f'class {i}' for i in range(30)], tmp_path / 'c')
    with pytest.raises(UserError, match=r'\(C, C\)'):
        plots.confusion_matrix(np.zeros((2, 3)), None, tmp_path / 'c')


def test_projector_thumbnails_fit_tensorboards_sprite(tmp_path):
    images = plots.projector_images(flat_pictures(9), [3, 1], size=16)
    assert images.shape == (2, 3, 16, 16) and images.dtype == np.float32
    assert images[0, :, 8, 8] == pytest.approx([30 / 255] * 3)
    assert images[0, :, 8, 0] == pytest.approx([1.0] * 3)  # a 40 x 30 picture has white bars at its sides
    many = plots.projector_images(lambda i: np.zeros((4, 4), np.uint8), np.zeros(200 * 200, int), size=48)
    assert many.shape[-1] * 200 <= 8192


@pytest.mark.filterwarnings('error::RuntimeWarning')
def test_projector_files(tmp_path):
    import tensorboardX
    writer = tensorboardX.SummaryWriter(str(tmp_path))
    rows = plots.write_projector(writer, np.eye(7, 4), np.arange(7) % 2, flat_pictures(7), names=['a\tb', 'c'],
                                 max_points=5, size=16)
    writer.close()
    assert len(rows) == 5
    metadata = next(tmp_path.rglob('metadata.tsv')).read_text().splitlines()
    assert metadata == [['a\\tb', 'c'][i % 2] for i in rows]
    assert Image.open(next(tmp_path.rglob('sprite.png'))).size == (48, 48)  # 3 x 3 places of 16 pixels
    assert 'single_image_dim: 16' in (tmp_path / 'projector_config.pbtxt').read_text()


def test_drawing_leaves_the_callers_matplotlib_settings_alone(tmp_path):
    import matplotlib
    before = json.dumps({key: str(value) for key, value in matplotlib.rcParams.items()})
    plots.confusion_matrix(np.eye(2), None, tmp_path / 'c')
    assert json.dumps({key: str(value) for key, value in matplotlib.rcParams.items()}) == before


def test_the_first_56_looks_are_different():
    assert len({style.color_and_marker(i) for i in range(56)}) == 56
    assert all(len({style.color_and_marker(i)[k] for i in range(7)}) == 7 for k in (0, 1))


LOG = [{'kind': 'epoch', 'epoch': 0, 'step': 24, 'seconds': 3.0, 'recall': {'1': 0.5}, 'loss': 1.0}]


def texts_of(monkeypatch, draw, path):
    """Every text of the figure that `draw(path)` saves, as it is shown."""
    import matplotlib.text
    kept = []
    save = style.fonts.fit
    monkeypatch.setattr(style.fonts, 'fit', lambda figure: (kept.append(figure), save(figure)))
    draw(path)
    return [text.get_text() for text in kept[0].findobj(matplotlib.text.Text)]


def test_names_are_shown_as_they_are(tmp_path, monkeypatch):
    names = ['_hidden', '$5 and $10$', 'line\nfeed', '<script>', '\x1b[31mred', 'a\udcff']
    shown = texts_of(monkeypatch, lambda path: plots.tsne(np.eye(12, 6), np.arange(12) % 6, path, names=names,
                                                          points=(np.eye(12, 2), np.arange(12))), tmp_path / 'tsne')
    for name in ('_hidden', '$5 and $10$', 'line\\nfeed', '<script>', '\\x1b[31mred', 'a\\xff'):
        assert name in shown, name
    assert '_run' in texts_of(monkeypatch, lambda path: plots.recall_curves({'_run': LOG}, path), tmp_path / 'recall')
    assert '_run' in texts_of(monkeypatch, lambda path: plots.loss_curve({'_run': LOG}, path), tmp_path / 'loss')
    plots.confusion_matrix(np.eye(6), names, tmp_path / 'confusion')


def test_curves_of_one_evaluation_have_whole_ticks(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(style.fonts, 'fit', drawn.append)
    plots.recall_curves({'run': LOG}, tmp_path / 'recall')
    ticks = drawn[0].axes[0].get_xticks()
    assert np.array_equal(ticks, ticks.round()) and drawn[0].axes[0].get_xlim()[0] == 0


def test_fonts_are_chosen_by_their_letters(monkeypatch, capsys):
    from evaluation.plots import fonts
    monkeypatch.setattr(fonts, '_installed', lambda: [('STIXGeneral', fonts.font_manager.findfont('STIXGeneral'))])
    fonts._tell.cache_clear()
    only_stix = next(chr(c) for c in sorted(fonts._letters(fonts.font_manager.findfont('STIXGeneral'))
                                            - fonts._letters(fonts.font_manager.findfont(fonts.FIRST))) if c > 0x2000)
    assert fonts.families('a' + only_stix) == [fonts.FIRST, 'STIXGeneral']
    assert 'STIX' in fonts.file_for(only_stix)
    assert fonts.families('\u4f8b') == [fonts.FIRST]
    assert 'fonts-noto-cjk' in capsys.readouterr().err
    fonts.families('\u4f8b')
    assert not capsys.readouterr().err    # said once
