"""Search an index with a picture, and the panel that shows what was found."""

import difflib
from collections import namedtuple

import numpy as np

from core.errors import UserError
from core.lazy import lazy
from evaluation.plots.panels import BORDER, CELL, FOOT, GAP, QUERY_GAP
from evaluation.plots.style import fit_text, font, letterbox, save_image
from serving import photos

Image, ImageDraw = lazy('PIL.Image'), lazy('PIL.ImageDraw')

Hit = namedtuple('Hit', 'id path label distance')
Hit.__doc__ = 'A picture that was found, with its Euclidean distance to the query.'


def nearest(index, vector, k=10, labels=None, max_distance=None, leave_out=None, search=None):
    """The pictures nearest to a vector.

    Parameters
    ----------
    index : of serving.index.open_index
    vector : float32 (D,)
    k : how many at most
    labels : None, or the labels that may be found
    max_distance : None, or the largest distance
    leave_out : None, or an id that is not to be found, as the picture that is searched with
    search : None, or function (vector, k, labels) -> (ids (k',), distances (k',)) in the place of the index's own

    Returns
    -------
    list of Hit, nearest first
    """
    vector, fetched = np.asarray(vector, np.float32), k + (leave_out is not None)
    ids, far = (search(vector, fetched, labels) if search else
                (found[0] for found in index.search(vector[None], fetched, labels)))
    found = [(int(i), float(d)) for i, d in zip(ids, far)
             if i >= 0 and i != leave_out and (max_distance is None or d <= max_distance)][:k]
    images = index.images([i for i, _ in found])
    return [Hit(i, images[i].path, images[i].label, d) for i, d in found if i in images]


def known_labels(index, labels):
    """UserError that lists close matches for a label that no picture has."""
    legal = index.labels()
    for label in labels or ():
        if label not in legal:
            close = difflib.get_close_matches(label, legal, n=3)
            raise UserError(f'--label={label}: no picture has this label.' + (
                f' Did you mean {" or ".join(close)}?' if close else f' There are {len(legal)}, such as '
                f'{", ".join(list(legal)[:5])}') + ' Fix: one of them, or no --label')


def panel(rows, path, columns=6):
    """Draw rows of pictures as `path`.png and .pdf.

    Parameters
    ----------
    rows : list of lists of (uint8 (H, W, 3), caption, second caption); a line is drawn between rows
    path : str or Path
    columns : pictures side by side; a longer row is broken

    Returns
    -------
    list of Path : the two files
    """
    step, foot = CELL + 2 * BORDER + GAP, 2 * FOOT
    lines = []
    for row in rows:
        lines += [row[start:start + columns] for start in range(0, len(row), columns)] + [None]
    lines = lines[:-1]
    width = 2 * GAP + max(len(line) for line in lines if line) * step
    height = GAP + sum(QUERY_GAP if line is None else CELL + 2 * BORDER + foot for line in lines)
    canvas = Image.new('RGB', (width, height), 'white')
    draw, top = ImageDraw.Draw(canvas), GAP
    for line in lines:
        if line is None:
            draw.line([(GAP, top + QUERY_GAP // 2), (width - GAP, top + QUERY_GAP // 2)], '#CCCCCC', 1)
            top += QUERY_GAP
            continue
        for column, (image, *captions) in enumerate(line):
            left = GAP + column * step
            canvas.paste(Image.fromarray(letterbox(image, CELL)), (left + BORDER, top + BORDER))
            for k, caption in enumerate(captions):
                text = fit_text(draw, caption, 12, CELL + 2 * BORDER)
                place = left + BORDER + CELL // 2, top + CELL + 2 * BORDER + (2 * k + 1) * FOOT // 2
                draw.text(place, text, ('black', '#555555')[k], font(12), anchor='mm')
        top += CELL + 2 * BORDER + foot
    return save_image(np.asarray(canvas), path)


def cell(index, hit, caption=None):
    """(picture, caption, second caption) of a hit; grey where its file cannot be read any more."""
    try:
        image = photos.read(index.about['root'], hit.path)
    except photos.Unreadable:
        image = np.full((8, 8, 3), 200, np.uint8)
    return image, caption or hit.label or hit.path, f'{hit.distance:.3f}'
