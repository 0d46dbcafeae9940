"""Pictures of retrieval: queries with their nearest neighbours, and thumbnails for TensorBoard's projector."""

from __future__ import annotations

import numpy as np

from core.errors import UserError
from core.lazy import lazy
from evaluation.plots.style import HIT, MISS, class_name, fit_text, font, letterbox, save_image

Image = lazy('PIL.Image')
ImageDraw = lazy('PIL.ImageDraw')

WHICH = ('best', 'worst', 'random')
CELL, BORDER, GAP, QUERY_GAP, HEAD, FOOT = 132, 6, 10, 24, 26, 20  # pixels of a retrieval panel


def choose_queries(hits: np.ndarray, labels, which: str, n_queries: int, seed: int = 0) -> list[int]:
    """Which queries to show; a new class each, if it can.

    An early hit outweighs any number of later ones only between rows with equally many hits. Remaining ties are
    broken by the seed.

    Parameters
    ----------
    hits : bool (Q, K)
    labels : (Q,) of the queries
    which : 'best' most hits, 'worst' fewest, 'random' any
    n_queries : at most so many

    Returns
    -------
    rows of `hits`

    Example
    -------
    >>> choose_queries(np.array([[True, False], [True, True], [False, False]]), [0, 1, 2], 'best', 2)
    [1, 0]
    """
    if which not in WHICH:
        raise UserError(f'--which={which} is unknown. Legal values: {", ".join(WHICH)}')
    shuffled = np.random.RandomState(seed).permutation(len(hits))
    if which == 'random':
        ranked = shuffled
    else:
        early = hits @ (2.0 ** -np.arange(1, hits.shape[1] + 1))  # < 1, so the count decides first
        score = (hits.sum(axis=1) + early)[shuffled]
        ranked = shuffled[np.argsort(-score if which == 'best' else score, kind='stable')]
    seen, first, again = set(), [], []
    for row in ranked:
        (again if labels[row] in seen else first).append(int(row))
        seen.add(labels[row])
    if which == 'random':
        return (first + again)[:n_queries]
    score = hits.sum(axis=1)
    # A new class is worth a query only among rows that are as good (as bad) as those that would be shown anyway.
    worst_shown = score[ranked[:n_queries]][-1] if len(ranked) else 0
    fits = (lambda row: score[row] >= worst_shown) if which == 'best' else (lambda row: score[row] <= worst_shown)
    rows = [row for row in first if fits(row)] + [row for row in again if fits(row)]
    return sorted(rows[:n_queries], key=lambda row: -score[row] if which == 'best' else score[row])


def panel_cell(row: int, column: int) -> tuple[int, int]:
    """(left, top) in pixels of the framed picture of a retrieval panel: column 0 the query, 1.. the neighbours."""
    step = CELL + 2 * BORDER + GAP
    return GAP + column * step + (QUERY_GAP if column else 0), HEAD + row * (step + FOOT)


def retrieval_panel(split_read, neighbours, labels, path, which: str = 'random', n_queries: int = 8, top: int = 4,
                    names=None, queries=None, seed: int = 0) -> list[int]:
    """Query and its `top` nearest neighbours, one row a query.

    A neighbour of the query's class has a green frame and a tick, one of another class a red frame and a cross;
    under each picture stands the name of its class.

    Parameters
    ----------
    split_read : function i -> uint8 (H, W, 3)
    neighbours : int (Q, K), K >= 1: indices of the nearest pictures, nearest first, the query itself not among them
    labels : (N,) label of every picture
    which : 'best', 'worst' or 'random' queries
    queries : (Q,) the picture that row i of `neighbours` belongs to; None: picture i

    Returns
    -------
    the pictures shown as queries

    Raises
    ------
    UserError : neighbours of another shape or of other queries
    """
    neighbours, labels = np.asarray(neighbours), np.asarray(labels)
    if neighbours.ndim != 2 or not neighbours.size:
        raise UserError(f'a retrieval panel needs neighbours of shape (queries, K), got {neighbours.shape}')
    neighbours = neighbours[:, :top].astype(np.int64)
    queries = np.arange(len(neighbours)) if queries is None else np.asarray(queries, np.int64)
    if len(queries) != len(neighbours):
        raise UserError(f'{len(queries)} queries, but neighbours of {len(neighbours)}')
    hits = labels[neighbours] == labels[queries][:, None]
    rows = choose_queries(hits, labels[queries], which, n_queries, seed)
    right, _ = panel_cell(0, neighbours.shape[1] + 1)
    _, bottom = panel_cell(len(rows), 0)
    canvas = Image.new('RGB', (right, bottom), 'white')
    draw = ImageDraw.Draw(canvas)
    for column in range(neighbours.shape[1] + 1):
        left, _ = panel_cell(0, column)
        head = f'{which} query' if column == 0 else f'nearest {column}'
        draw.text((left + BORDER + CELL // 2, HEAD // 2), head, 'black', font(14), anchor='mm')
    for row, q in enumerate(rows):
        for column, i in enumerate([queries[q], *neighbours[q]]):
            color = '#FFFFFF' if column == 0 else HIT if hits[q, column - 1] else MISS
            draw_cell(canvas, draw, panel_cell(row, column), split_read(int(i)), color)
            name = class_name(names, labels[i])
            left, upper = panel_cell(row, column)
            draw.text((left + BORDER + CELL // 2, upper + CELL + 2 * BORDER + FOOT // 2),
                      fit_text(draw, name, 12, CELL + 2 * BORDER), 'black', font(12, name), anchor='mm')
    save_image(np.asarray(canvas), path)
    return [int(queries[q]) for q in rows]


def draw_cell(canvas, draw, corner, image, color) -> None:
    """A picture in a frame of `color`; hits and misses also carry a badge with a tick or a cross."""
    left, top = corner
    outer = CELL + 2 * BORDER
    draw.rectangle((left, top, left + outer - 1, top + outer - 1), fill=color)
    canvas.paste(Image.fromarray(letterbox(image, CELL)), (left + BORDER, top + BORDER))
    if color not in (HIT, MISS):
        return
    size = 22
    x, y = left + outer - size, top
    draw.rectangle((x, y, x + size - 1, y + size - 1), fill=color)
    stroke = [(x + 5, y + 11), (x + 9, y + 16), (x + 17, y + 5)] if color == HIT else [(x + 6, y + 5), (x + 16, y + 16)]
    draw.line(stroke, 'white', 3)
    if color == MISS:
        draw.line([(x + 16, y + 5), (x + 6, y + 16)], 'white', 3)


def projector_images(read_image, index, size: int = 48) -> np.ndarray:
    """Thumbnails for TensorBoard's projector.

    TensorBoard shows them as one square sprite of at most 8192 pixels a side; where M thumbnails of `size` would not
    fit, they become smaller (10,000 fit at 81 px).

    Parameters
    ----------
    read_image : function i -> uint8 (H, W, 3)
    index : int (M,) the pictures
    size : pixels

    Returns
    -------
    float32 (M, 3, size, size) in 0..1, the `label_img` of add_embedding

    Raises
    ------
    UserError : no picture, or more than fit at 4 pixels
    """
    index = np.asarray(index, np.int64)
    if not len(index):
        raise UserError('the projector needs at least one picture, got none')
    per_row = int(np.ceil(np.sqrt(len(index))))
    size = min(size, 8192 // per_row)
    if size < 4:
        raise UserError(f'{len(index)} pictures do not fit on one TensorBoard sprite: show at most 4,000,000')
    stack = np.stack([letterbox(read_image(int(i)), size) for i in index])
    return stack.transpose(0, 3, 1, 2).astype(np.float32) / 255.0


def write_projector(writer, embeddings, labels, read_image, names=None, tag: str = 'embeddings', step: int = 0,
                    max_points: int = 2000, size: int = 48, seed: int = 0) -> np.ndarray:
    """Put embeddings with class names and thumbnails into TensorBoard's projector tab.

    Parameters
    ----------
    writer : of tensorboardX
    embeddings : (N, D)
    labels : int (N,)
    read_image : function i -> uint8 (H, W, 3)
    names : None or names of the classes
    tag, step : as in TensorBoard
    max_points : more rows become a seeded sample, because the browser holds them all
    size : of a thumbnail in pixels

    Returns
    -------
    the rows written
    """
    index = np.arange(len(labels))
    if len(index) > max_points:
        index = np.sort(np.random.RandomState(seed).choice(len(index), max_points, replace=False))
    metadata = [class_name(names, int(labels[i])).strip() or '?' for i in index]  # one name a line
    with np.errstate(all='ignore'):    # tensorboardX multiplies the part of the sprite that it left uninitialised
        writer.add_embedding(np.asarray(embeddings)[index], metadata=metadata,
                             label_img=projector_images(read_image, index, size), global_step=step, tag=tag)
    return index

