"""What all figures share: colours and markers that colour-blind readers can tell apart, and saving as PNG and PDF.

Figures are built on matplotlib's Figure objects alone (no pyplot), so drawing needs no display, leaves no global state
and may happen in a thread.
"""

from __future__ import annotations

import functools
import pathlib

import numpy as np

from core.errors import UserError
from core.lazy import lazy
from core.text import printable
from evaluation import checks
from evaluation.plots import fonts

Image = lazy('PIL.Image')
ImageFont = lazy('PIL.ImageFont')
matplotlib = lazy('matplotlib')

# Okabe and Ito, "Color Universal Design" (2008), without the yellow, which vanishes on white paper.
COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000')
MARKERS = ('o', '^', 's', 'D', 'v', 'P', 'X', '*')
LINES = ('-', '--', '-.', ':')
# A bluish green and an orange-leaning red: apart in lightness and in blue for every common kind of colour blindness.
HIT, MISS, GREY = '#009E73', '#CC3311', '#BBBBBB'

RC = {'font.size': 9, 'axes.titlesize': 10, 'axes.spines.top': False, 'axes.spines.right': False, 'axes.grid': True,
      'grid.color': '#DDDDDD', 'grid.linewidth': 0.6, 'axes.axisbelow': True, 'legend.frameon': False,
      'legend.fontsize': 8, 'lines.linewidth': 1.6, 'pdf.fonttype': 42, 'figure.dpi': 100,
      'text.parse_math': False}    # a class may be called $5 and $10: no formula


def styled(function):
    """Draw inside the suite's matplotlib settings, whatever the caller's are."""
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(RC)
            return function(*args, **kwargs)
    return wrapper


def color_and_marker(i: int) -> tuple[str, str]:
    """(color, marker) of class or run i. The first 7 differ in both, the first 56 in at least one.

    Example
    -------
    >>> color_and_marker(0), color_and_marker(7)
    (('#0072B2', 'o'), ('#0072B2', '^'))
    """
    return COLORS[i % len(COLORS)], MARKERS[(i % len(COLORS) + i // len(COLORS)) % len(MARKERS)]


def rgb(color: str) -> tuple[int, ...]:
    """'#RRGGBB' -> (r, g, b) in 0..255.

    Example
    -------
    >>> rgb('#FF8000')
    (255, 128, 0)
    """
    return tuple(int(color[i:i + 2], 16) for i in (1, 3, 5))


def targets(path) -> list[pathlib.Path]:
    """The PNG and the PDF that `path` stands for (its own suffix, if it is one of the two, is dropped)."""
    path = pathlib.Path(path)
    stem = path.with_suffix('') if path.suffix.lower() in ('.png', '.pdf') else path
    stem.parent.mkdir(parents=True, exist_ok=True)
    return [stem.with_name(stem.name + suffix) for suffix in ('.png', '.pdf')]


def save_figure(figure, path, dpi: int = 160, tight: bool = True) -> list[pathlib.Path]:
    """Write a matplotlib Figure as PNG and PDF; returns the two paths."""
    files = targets(path)
    fonts.fit(figure)
    for file in files:
        meta = {'CreationDate': None} if file.suffix == '.pdf' else None  # same figure, same file
        with fonts.quiet():
            figure.savefig(file, dpi=dpi, bbox_inches='tight' if tight else None, metadata=meta)
    return files


def save_image(canvas, path, dpi: int = 160) -> list[pathlib.Path]:
    """Write uint8 (H, W, 3) RGB as PNG and PDF; returns the two paths."""
    files = targets(path)
    image = Image.fromarray(canvas)
    image.save(files[0])
    image.save(files[1], resolution=dpi, quality=92)
    return files


@functools.lru_cache(maxsize=64)
def _font(path, size):
    return ImageFont.truetype(path, size)


def font(size, text: str = '') -> ImageFont.FreeTypeFont:
    """A font for drawing `text` on pictures, `size` pixels high."""
    return _font(fonts.file_for(text), size)


def fit_text(draw, text, size, width) -> str:
    """`text`, shortened in its middle until it is at most `width` pixels wide in the font of `size`."""
    used = font(size, text)
    if draw.textlength(text, used) <= width:
        return text
    for keep in range(len(text) - 1, 1, -1):
        short = text[:(keep + 1) // 2] + '…' + text[len(text) - keep // 2:]
        if draw.textlength(short, used) <= width:
            return short
    return text[:1]


def legend(place, handles, names, **options):
    """A legend of an Axes or Figure that also shows names with a leading _, which matplotlib hides.

    Parameters
    ----------
    place : Axes or Figure
    handles : what was drawn
    names : N str
    options : for `place.legend`
    """
    made = place.legend(handles, [str(i) for i in range(len(names))], **options)
    for text, name in zip(made.get_texts(), names):
        text.set_text(printable(name))
    return made


def letterbox(image, size: int, background: int = 255) -> np.ndarray:
    """uint8 (H, W, 3) or (H, W) -> (size, size, 3): scaled to fit with its aspect ratio kept, centred.

    Example
    -------
    >>> letterbox(np.zeros((2, 4), np.uint8), 4)[:, 0, 0].tolist()
    [255, 0, 0, 255]
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    height, width = image.shape[:2]
    scale = size / max(height, width)
    new = (max(1, round(width * scale)), max(1, round(height * scale)))
    resample = Image.NEAREST if scale >= 2 else Image.LANCZOS
    small = np.asarray(Image.fromarray(np.ascontiguousarray(image[:, :, :3])).resize(new, resample))
    out = np.full((size, size, 3), background, np.uint8)
    top, left = (size - new[1]) // 2, (size - new[0]) // 2
    out[top:top + new[1], left:left + new[0]] = small
    return out


def check(embeddings, labels) -> tuple[np.ndarray, np.ndarray]:
    """float32 (N, D) and int64 (N,), or a UserError that names what is wrong."""
    embeddings, labels = np.asarray(embeddings, np.float32), np.asarray(labels)
    if embeddings.ndim != 2 or labels.ndim != 1 or len(embeddings) != len(labels):
        raise UserError(f'a figure needs embeddings of shape (N, D) and N labels, got {embeddings.shape} and '
                        f'{labels.shape}')
    if not len(labels):
        raise UserError('a figure needs at least one embedding, got none')
    checks.squared_norms(embeddings)
    return embeddings, labels.astype(np.int64)


def class_name(names, label) -> str:
    """Name of a class as it stands on figures, or its number where it has none."""
    return printable(names[label]) if names is not None and 0 <= label < len(names) else str(label)
