"""The built-in data set: letters drawn from the typefaces that matplotlib ships.

A class is a Unicode letter; an instance is a typeface with a seeded rotation, size, shear, thickness, position, paper,
ink and noise. Training and test letters are disjoint. Outlines are read by fontTools and filled here in whole numbers,
so the same seed gives the same pixels on every machine and with every version of FreeType, OpenCV and PIL.
"""

import math
import os
import unicodedata
from functools import lru_cache, partial

import numpy as np

from core.errors import UserError
from core.files import write_atomic
from core.flags import bounded
from datasets.records import Data, Split

SIDE = 48          # pixels
FINE = 4           # samples of a pixel, each way
UNIT = 256         # whole-number steps of a sample
FACES = tuple(family + style for family, styles in (
    ('DejaVuSans', ('', '-Bold', '-Oblique', '-BoldOblique')),
    ('DejaVuSerif', ('', '-Bold', '-Italic', '-BoldItalic')),
    ('DejaVuSansMono', ('', '-Bold', '-Oblique', '-BoldOblique')),
    ('STIXGeneral', ('', 'Bol', 'Italic', 'BolIta'))) for style in styles)
LEAST_FACES = 12   # a letter is used if it exists in so many faces
ALIKE = 0.6        # two letters whose shapes share this part of their union count as one

# rotation: degrees; size: of the longer side, in pixels; shear: sideways per unit of height; thick: samples added to
# each edge; shift: pixels; paper, ink: grey levels; invert: chance of light ink on dark paper; cloud: grey levels that
# the paper wanders; noise: standard deviation in grey levels
LEVELS = {
    'easy': {'rotation': 15, 'size': (24, 38), 'shear': 0.15, 'thick': (-1, 2), 'shift': 4, 'paper': (170, 255),
             'ink': (0, 80), 'invert': 0.0, 'cloud': 0, 'noise': 10},
    'hard': {'rotation': 25, 'size': (22, 40), 'shear': 0.2, 'thick': (-1, 2), 'shift': 4, 'paper': (120, 255),
             'ink': (0, 90), 'invert': 0.5, 'cloud': 60, 'noise': 15},
}

# Settings that train from scratch on a CPU in minutes.
PRESET = dict(backbone='convnet', pretrained='false', image_size=SIDE, transform='glyphs', embed_dim=64,
              batch_size=64, num_instances=4, optim='adam', epsilon=1e-8, lr=1e-3, wd=1e-4, epochs=12,
              lr_schedule='multifactor_epoch', lr_decay_epochs='8,10', lr_decay_factor=0.3, train_iters=0,
              early_stopping=0, eval_epoch_term=2, head_lr_mult=1.0, conv_lr_mult=1.0, metric='euclidean')
# What single losses need on top of it. The epochs of HPHN's own sampler visit a quarter of the images.
LOSS_PRESET = {
    'hphn_triplet': dict(epochs=60, lr_decay_epochs='40,50', eval_epoch_term=5),
    'heated_softmax': dict(metric='cosine'),
    'hdc': dict(lr=5e-4, batches_per_epoch=50, hdc_factor=1.0),
    **{loss: dict(lr=5e-4) for loss in ('lifted_structure', 'multi_similarity', 'npair', 'sst',
                                        'triplet_semihard')},
}


def add_args(group):
    """Flags of the built-in letters."""
    group.add_argument('--glyphs_level', choices=sorted(LEVELS), default='easy',
                       help='how far the drawings of one letter differ')
    group.add_argument('--glyphs_classes', type=bounded(int, 2), default=200,
                       help='letters for training, and as many others for testing')
    group.add_argument('--glyphs_instances', type=bounded(int, 2), default=16, help='drawings of each letter')
    group.add_argument('--glyphs_seed', type=bounded(int, 0), default=0,
                       help='other drawings of the same letters; the data do not depend on --seed')


def options(args):
    """{option of `load`: value} of parsed flags."""
    return {'level': args.glyphs_level, 'classes': args.glyphs_classes, 'instances': args.glyphs_instances,
            'seed': args.glyphs_seed}


def load(root=None, *, level='easy', classes=200, instances=16, seed=0):
    """Data of the letters; drawn at the first call, then read from one file.

    Parameters
    ----------
    root : folder of that file; None: data/glyphs
    level : key of LEVELS, how far the drawings of one letter differ
    classes : letters for training, and as many others for testing
    instances : drawings of each letter
    seed : of the drawings; the letters are the same for every seed
    """
    name = f'{level}_{2 * classes}x{instances}_seed{seed}.npz'
    path = os.path.join(root or os.path.join('data', 'glyphs'), name)
    try:
        with np.load(path) as stored:
            images, letters = stored['images'], stored['letters']
        if images.shape != (2 * classes * instances, SIDE, SIDE) or len(letters) != 2 * classes:
            raise ValueError('drawings of another number')
    except Exception:       # not there, or damaged in whatever way
        letters = choose(2 * classes)
        images = draw_all(letters, instances, level, seed)
        save(path, images, letters)
    class_id = np.repeat(letters, instances)
    names = {code: chr(code) for code in letters.tolist()}
    border = classes * instances
    parts = [Split(class_id[rows], names=names, reader=images.__getitem__, rows=rows)
             for rows in (np.arange(border), np.arange(border, 2 * border))]
    return Data('glyphs', *parts, protocol='zero-shot')


def save(path, images, letters):
    """Keep the drawn letters; a reader never sees half a file."""
    try:
        write_atomic(path, partial(np.savez, images=images, letters=letters))
    except OSError as error:
        raise UserError(f'the drawn letters cannot be kept in {os.path.dirname(path)} ({error.strerror}). Fix: '
                        '--data_dir=DIR with a folder that can be written') from error


def face(name):
    """fontTools font of one of FACES."""
    import matplotlib
    from fontTools.ttLib import TTFont
    path = os.path.join(matplotlib.get_data_path(), 'fonts', 'ttf', name + '.ttf')
    if not os.path.exists(path):
        raise UserError(f'the typeface {path} is missing from matplotlib. Fix: pip install --force-reinstall '
                        'matplotlib')
    return TTFont(path, lazy=True)


def outline(font, code):
    """[int64 (n, 2) closed polygon, ...] of a letter in font units, curves cut into straight pieces; y points up."""
    table = font['glyf']
    coordinates, ends, flags = table[font.getBestCmap()[code]].getCoordinates(table)
    points = np.array(coordinates, dtype=np.float64).reshape(-1, 2)
    on_curve = np.array(flags, dtype=bool) if len(flags) else np.zeros(0, dtype=bool)
    polygons, start = [], 0
    for end in ends:
        polygons.append(flatten(points[start:end + 1], on_curve[start:end + 1]))
        start = end + 1
    return [np.rint(4 * p).astype(np.int64) for p in polygons if len(p) > 2]


def flatten(points, on_curve, pieces=4):
    """A TrueType contour (quadratic curves; two control points in a row imply the middle between them) as a polygon."""
    implied = ~on_curve & ~np.roll(on_curve, -1)
    at = np.flatnonzero(implied) + 1
    points = np.insert(points, at, (points + np.roll(points, -1, axis=0))[implied] / 2, axis=0)
    on_curve = np.insert(on_curve, at, True)
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    polygon = np.repeat(points[:, None], pieces - 1, axis=1)          # (n, pieces - 1, 2); corners stay where they are
    t = (np.arange(1, pieces) / pieces)[:, None]
    curved = ~on_curve
    polygon[curved] = ((1 - t) ** 2 * before[curved][:, None] + 2 * t * (1 - t) * points[curved][:, None]
                       + t ** 2 * after[curved][:, None])
    return polygon.reshape(-1, 2)


def place(polygons, size, angle=0.0, shear=0.0, shift=(0, 0), side=SIDE):
    """The polygons turned, sheared, scaled to `size` pixels and centred on a side x side square, in whole units."""
    points = np.concatenate(polygons)
    low, high = points.min(axis=0), points.max(axis=0)
    longest = int((high - low).max())
    middle = (low + high) / 2
    scale = size * FINE * UNIT / longest
    c, s = math.cos(math.radians(angle)) * scale, math.sin(math.radians(angle)) * scale
    placed = []
    for polygon in polygons:
        x, y = (polygon - middle).T
        x = x + shear * y
        placed.append(np.rint(np.stack([c * x - s * y, -(s * x + c * y)], axis=1)).astype(np.int64))
    return [p + side * FINE * UNIT // 2 + np.array(shift, dtype=np.int64) * (FINE * UNIT) for p in placed]


def fill(polygons, side=SIDE):
    """uint8 (side * FINE, side * FINE), 1 inside: non-zero winding at the samples' centres, in whole numbers."""
    n = side * FINE
    start = np.concatenate(polygons)
    stop = np.concatenate([np.roll(p, -1, axis=0) for p in polygons])
    sign = np.sign(stop[:, 1] - start[:, 1])
    swap = sign < 0
    lower, upper = np.where(swap[:, None], stop, start), np.where(swap[:, None], start, stop)
    half = UNIT // 2
    first = np.clip(-((half - lower[:, 1]) // UNIT), 0, n)      # rows whose centre lies in [lower y, upper y)
    last = np.clip(-((half - upper[:, 1]) // UNIT), 0, n)
    count = last - first
    edge = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    x0, y0 = lower[edge].T
    x1, y1 = upper[edge].T
    x = x0 + (row * UNIT + half - y0) * (x1 - x0) // (y1 - y0)
    column = np.clip(-((half - x) // UNIT), 0, n)
    winding = np.zeros(n * (n + 1), dtype=np.int8)
    np.add.at(winding, row * (n + 1) + column, sign[edge].astype(np.int8))
    winding = winding.reshape(n, n + 1)[:, :n]
    return (np.cumsum(winding, axis=1, dtype=np.int8) != 0).astype(np.uint8)


def thicken(mask, steps):
    """The shape grown (steps > 0) or thinned by so many samples at each edge."""
    for _ in range(abs(steps)):
        padded = np.pad(mask, 1)
        around = [padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
        mask = np.maximum.reduce(around) if steps > 0 else np.minimum.reduce(around)
    return mask


def clouds(rng, reach):
    """int64 (SIDE, SIDE) within -reach..reach: a coarse random grid, interpolated."""
    cell = SIDE // 4
    grid = rng.randint(-reach, reach + 1, size=(5, 5))
    at, rest = np.divmod(np.arange(SIDE), cell)
    weight = np.zeros((SIDE, 5), dtype=np.int64)
    weight[np.arange(SIDE), at] = cell - rest
    weight[np.arange(SIDE), at + 1] = rest
    return weight @ grid @ weight.T // (cell * cell)


def draw(polygons, rng, rotation, size, shear, thick, shift, paper, ink, invert, cloud, noise):
    """uint8 (SIDE, SIDE): one drawing of a letter; the other arguments are those of LEVELS."""
    def between(low, high):
        return low + (high - low) * int(rng.randint(1001)) / 1000

    placed = place(polygons, between(*size), between(-rotation, rotation), between(-shear, shear),
                   rng.randint(-shift, shift + 1, size=2))
    mask = thicken(fill(placed), int(rng.randint(thick[0], thick[1] + 1)))
    rows = mask.reshape(SIDE, FINE, SIDE * FINE).sum(axis=1, dtype=np.uint8)
    cover = rows.reshape(SIDE, SIDE, FINE).sum(axis=2, dtype=np.int64)       # 0..16
    light, dark = int(rng.randint(paper[0], paper[1] + 1)), int(rng.randint(ink[0], ink[1] + 1))
    grey = light + (dark - light) * cover // (FINE * FINE)
    if cloud:
        grey += clouds(rng, cloud)
    if rng.randint(1000) < 1000 * invert:
        grey = 255 - grey
    # the sum of four dice of 256 sides: mean 510, standard deviation 147.8
    dice = rng.randint(256, size=(4, SIDE, SIDE), dtype=np.uint8).sum(axis=0, dtype=np.int64) - 510
    return np.clip(grey + dice * int(noise * 4096 / 147.8) // 4096, 0, 255).astype(np.uint8)


@lru_cache
def distinct():
    """Code points, ascending: letters of enough faces, none of which is drawn like an earlier one."""
    fonts = {name: face(name) for name in FACES}
    maps = {name: set(font.getBestCmap()) for name, font in fonts.items()}
    shown = ('DejaVuSans', 'DejaVuSerif')
    codes = [code for code in sorted(maps[shown[0]] & maps[shown[1]])
             if unicodedata.category(chr(code))[0] == 'L' and sum(code in m for m in maps.values()) >= LEAST_FACES]
    outlines = [[outline(fonts[name], code) for name in shown] for code in codes]
    drawn = [k for k, pair in enumerate(outlines) if all(pair)]
    codes = [codes[k] for k in drawn]
    shapes = [np.stack([fill(place(outlines[k][f], 22, side=24), side=24)[::2, ::2].ravel() for k in drawn])
              .astype(np.float32) for f in range(len(shown))]
    alike = np.zeros((len(codes), len(codes)), dtype=bool)
    for shape in shapes:
        both = shape @ shape.T
        area = shape.sum(axis=1)
        alike |= both > ALIKE * (area[:, None] + area[None, :] - both)
    kept = []
    for k in range(len(codes)):
        if not alike[k, kept].any():
            kept.append(k)
    return np.array(codes)[kept]


def choose(count):
    """int64 (count,) code points of `distinct` letters, in a fixed random order."""
    letters = distinct()
    if count > len(letters):
        raise UserError(f'--glyphs_classes={count // 2} needs {count} letters, but only {len(letters)} are different '
                        'enough. Fix: at most '
                        f'{len(letters) // 2}')
    return np.random.RandomState(0).permutation(letters)[:count]


def draw_all(letters, instances, level, seed):
    """uint8 (len(letters) * instances, SIDE, SIDE). A drawing depends on its letter, number, level and seed."""
    fonts = [face(name) for name in FACES]
    images = np.empty((len(letters) * instances, SIDE, SIDE), dtype=np.uint8)
    rng = np.random.RandomState()
    for k, code in enumerate(letters.tolist()):
        outlines = [outline(font, code) for font in fonts if code in font.getBestCmap()]
        outlines = [polygons for polygons in outlines if polygons]
        for i in range(instances):
            rng.seed([seed, code, i])
            images[k * instances + i] = draw(outlines[i % len(outlines)], rng, **LEVELS[level])
    return images
