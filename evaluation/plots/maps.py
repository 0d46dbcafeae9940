"""Maps: t-SNE as colours and as thumbnails, and the 2-D / 3-D distribution maps of Heated-Up Softmax."""

from __future__ import annotations

import numpy as np

from core.errors import UserError
from core.lazy import lazy
from core.normalize import unit_rows
from core.text import count
from evaluation.plots import style
from evaluation.plots.style import COLORS, GREY, check, class_name, legend, rgb, save_figure, save_image, styled

Image = lazy('PIL.Image')
ImageDraw = lazy('PIL.ImageDraw')
decomposition = lazy('sklearn.decomposition')
figures = lazy('matplotlib.figure')
manifold = lazy('sklearn.manifold')
patheffects = lazy('matplotlib.patheffects')


def tsne_points(embeddings, perplexity: float = 30.0, max_points: int = 10000,
                seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Barnes-Hut t-SNE.

    Embeddings wider than 50 are first reduced to 50 principal components, as the t-SNE papers do; the start is the
    first two components, so the map does not depend on luck. More than `max_points` rows: a seeded sample of them
    (10,000 points take about a minute on two cores, and the time grows faster than the number).

    Parameters
    ----------
    embeddings : (N, D)
    perplexity : at most a third of the rows shown
    max_points : rows shown
    seed : of the sample and of the optimisation

    Returns
    -------
    points float32 (M, 2), index int64 (M,) of the rows shown

    Source
    ------
    van der Maaten 2014, "Accelerating t-SNE using tree-based algorithms", JMLR 15.
    """
    embeddings = np.asarray(embeddings, np.float32)
    rng = np.random.RandomState(seed)
    index = np.arange(len(embeddings))
    if len(index) > max_points:
        index = np.sort(rng.choice(len(index), max_points, replace=False))
    rows = embeddings[index]
    if len(rows) < 4 or np.ptp(rows, axis=0).max() < 1e-12:
        return rng.normal(scale=1e-3, size=(len(rows), 2)).astype(np.float32), index
    if rows.shape[1] > 50 and len(rows) > 50:
        rows = decomposition.PCA(50, svd_solver='randomized', random_state=seed).fit_transform(rows)
    init = 'pca' if rows.shape[1] >= 2 else 'random'
    perplexity = min(perplexity, (len(rows) - 1) / 3.0)
    points = manifold.TSNE(2, perplexity=perplexity, init=init, learning_rate='auto', method='barnes_hut', angle=0.5,
                  random_state=seed).fit_transform(np.ascontiguousarray(rows))
    return points.astype(np.float32), index


@styled
def tsne(embeddings, labels, path, names=None, max_classes_in_legend: int = 21, perplexity: float = 30.0,
         max_points: int = 10000, seed: int = 0, points=None, title: str | None = None):
    """t-SNE coloured by classes.

    Parameters
    ----------
    embeddings : (N, D)
    labels : int (N,)
    path : of the files, without their endings
    names : None or names of the classes
    max_classes_in_legend : so many of the largest classes have their own colour and marker and stand in the legend;
        all others are grey, because no reader can tell a hundred colours apart
    perplexity, max_points, seed : as of `tsne_points`
    points : what `tsne_points` returned, to spare the computation
    title : None: the numbers of embeddings and classes

    Returns
    -------
    (points (M, 2), index (M,)): what `tsne_thumbnails` takes
    """
    embeddings, labels = check(embeddings, labels)
    points, index = points if points is not None else tsne_points(embeddings, perplexity, max_points, seed)
    shown = labels[index]
    classes, counts = np.unique(shown, return_counts=True)
    chosen = np.sort(classes[np.argsort(-counts, kind='stable')][:max_classes_in_legend])
    figure = figures.Figure(figsize=(7.2, 5.6))
    axes = figure.add_subplot()
    area = float(np.clip(30000.0 / max(len(shown), 1), 7, 36))
    rest, handles = ~np.isin(shown, chosen), []
    if rest.any():
        dots = axes.scatter(points[rest, 0], points[rest, 1], s=0.6 * area, c=GREY, linewidths=0, rasterized=True)
        handles.append((dots, count(len(classes) - len(chosen), 'other class', 'other classes')))
    for i, label in enumerate(chosen):
        color, marker = style.color_and_marker(i)
        mine = shown == label
        dots = axes.scatter(points[mine, 0], points[mine, 1], s=area, c=color, marker=marker, edgecolors='white',
                            linewidths=0.3 if area > 12 else 0, rasterized=True)
        handles.append((dots, class_name(names, label)[:32]))
    axes.set(xticks=[], yticks=[])
    axes.set_title(title or f't-SNE of {count(len(shown), "embedding")} in {count(len(classes), "class", "classes")}')
    for side in ('left', 'bottom'):
        axes.spines[side].set_visible(False)
    made = legend(axes, *zip(*handles), loc='center left', bbox_to_anchor=(1.0, 0.5), handletextpad=0.3)
    for handle in made.legend_handles:
        handle.set_sizes([30])
    save_figure(figure, path)
    return points, index


def tsne_thumbnails(points, read_image, path, labels=None, side: int = 2400, thumb: int = 56,
                    overlap: bool = False) -> int:
    """The pictures themselves at their places of a t-SNE map.

    Parameters
    ----------
    points : the pair (points (M, 2), index (M,)) that `tsne` returned, or points (N, 2) alone
    read_image : function i -> uint8 (H, W, 3); only pictures that are drawn are read
    labels : (N,) or None; with labels each thumbnail has a frame in the colour of its class
    side, thumb : pixels of the canvas and of the longer side of a thumbnail
    overlap : True draws all pictures, later ones over earlier ones, as the DeepEmbedding project did; False leaves
        out a picture that would cover more than a little of one already drawn, so that each can be recognised

    Returns
    -------
    the number of pictures drawn
    """
    if isinstance(points, tuple):
        points, index = points
    else:
        index = np.arange(len(points))
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise UserError(f'thumbnails need points of shape (N, 2), got {points.shape}')
    low, span = points.min(axis=0), np.maximum(np.ptp(points, axis=0), 1e-12)
    corners = np.round((points - low) / span * (side - thumb)).astype(int)
    corners[:, 1] = side - thumb - corners[:, 1]  # upwards, as in the coloured map
    canvas = Image.new('RGB', (side, side), 'white')
    frame = ImageDraw.Draw(canvas)
    taken = np.zeros((side, side), bool)
    gap, drawn = max(1, thumb // 8), 0
    for i, (x, y) in zip(index, corners):
        core = (slice(y + gap, y + thumb - gap), slice(x + gap, x + thumb - gap))
        if not overlap and taken[core].any():
            continue
        taken[core] = True
        image = Image.fromarray(np.ascontiguousarray(np.asarray(read_image(int(i)))))
        image.thumbnail((thumb, thumb), Image.LANCZOS)
        left, top = x + (thumb - image.width) // 2, y + (thumb - image.height) // 2
        canvas.paste(image, (int(left), int(top)))
        if labels is not None:
            color = rgb(COLORS[int(labels[i]) % len(COLORS)])
            box = (left, top, left + image.width - 1, top + image.height - 1)
            frame.rectangle(tuple(int(v) for v in box), outline=color, width=max(2, thumb // 24))
        drawn += 1
    save_image(np.asarray(canvas), path, dpi=300)
    return drawn


@styled
def distribution_map(embeddings, labels, weights, path, names=None, normalise: bool = True,
                     title: str | None = None) -> list:
    """Where a 2-D or 3-D bottleneck puts each class, with the class weights as diamonds (Heated-Up Softmax, Fig. 3).

    As the original draws it: 4 x 4 inches at 160 dpi, points of area 30 at opacity 0.05 in the colours C0..C9,
    weights as diamonds with a black edge, top and right spines hidden.
    DIFFERS: the name of the class stands above its diamond, because ten colours alone are not readable by all.

    Parameters
    ----------
    embeddings, labels : (N, D) with D = 2 or 3, and (N,)
    weights : (C, D), row c the weight of class c, or None
    normalise : True: unit embeddings and weights of length 0.9 (the original's test_epoch%03d.png);
        False: both as they are (test_no_l2n_epoch%03d.png)

    Returns
    -------
    Paths of the PNG and the PDF

    Raises
    ------
    UserError : embeddings of another width, weights that do not fit them

    Source
    ------
    Zhang et al. 2018, "Heated-Up Softmax Embedding", figure 3.
    """
    embeddings, labels = check(embeddings, labels)
    width = embeddings.shape[1]
    if width not in (2, 3):
        raise UserError(f'--embed_dim={width} cannot be drawn as a distribution map. '
                        'Fix: train with --embed_dim=2 or 3')
    weights = None if weights is None else np.asarray(weights, np.float32)
    if weights is not None and (weights.ndim != 2 or weights.shape[1] != width):
        raise UserError(f'class weights of shape {weights.shape} do not fit embeddings of width {width}')
    if normalise:
        embeddings = unit_rows(embeddings)
        weights = None if weights is None else 0.9 * unit_rows(weights)
    figure = figures.Figure(figsize=(4, 4), dpi=160)
    axes = figure.add_subplot(projection='3d' if width == 3 else None)
    axes.grid(width == 3)
    flat = {'depthshade': False} if width == 3 else {}  # far points must not fade: they are faint enough
    for label in np.unique(labels):
        axes.scatter(*embeddings[labels == label].T, s=30, c=f'C{label % 10}', alpha=0.05, linewidths=0,
                     rasterized=True, **flat)
    for label in range(0 if weights is None else len(weights)):
        axes.scatter(*weights[label][:, None], s=60, c=f'C{label % 10}', marker='D', edgecolors='black',
                     zorder=5, **flat)
        # the empty second line lifts the name off its diamond
        axes.text(*weights[label], class_name(names, label) + '\n', ha='center', va='center', linespacing=1.6,
                  fontsize=8, fontweight='bold', zorder=6,
                  path_effects=[patheffects.withStroke(linewidth=1.5, foreground='white')])
    if width == 3:
        axes.computed_zorder = False  # else the nearer of points and weights would hide the other
    if normalise:
        limits = {'xlim': (-1.12, 1.12), 'ylim': (-1.12, 1.12)}
        axes.set(**limits, **({'zlim': (-1.12, 1.12)} if width == 3 else {}))
        axes.set_aspect('equal')
    if title:
        axes.set_title(title)
    return save_figure(figure, path, dpi=160, tight=False)
