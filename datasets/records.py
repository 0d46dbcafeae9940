"""What a data set is made of: labelled images, in parts (Split), and the parts together (Data)."""

import os
from collections import namedtuple
from types import MappingProxyType

import numpy as np

from core.errors import UserError
from datasets.pictures import BadImage, read_image

Data = namedtuple('Data', 'name train test protocol val notes pairs ignored unreadable',
                  defaults=(None, (), None, MappingProxyType({}), ()))
Data.__doc__ = """A loaded data set.

name : the name it is registered under
train, test, val : Split; val is None unless --val_classes holds classes out
protocol : 'zero-shot' (test classes are not trained on), 'query-gallery' (zero-shot with test.query),
    'classification' (the test labels are the training labels), 'mixed' (some test classes are trained on), 'pairs',
    'unlabelled' (photos to be embedded; train is None)
notes : sentences about the data that the user should read
pairs : for 'pairs': dict of arrays (P,): a and b (rows of test), same (bool), fold (0..); train may then be None
ignored : {what: number} of files and folders that were not taken
unreadable : (path, reason) of images that were left out because they cannot be read
"""


class Split:
    """One part of a data set.

    Parameters
    ----------
    class_id : (N,) the raw class id of each image
    paths : sequence of N str, relative to `root` or absolute; None for images that come from `reader` alone
    names : {raw id: name} or names in ascending order of the raw ids; None: the ids themselves
    root : folder that the paths are relative to; made absolute, so that a change of folder changes nothing
    classes : ascending raw ids that the labels count; None: those that occur. Two splits that share their labels
        (classification) are given the same.
    query : None or bool (N,): True for a query, False for a gallery image
    boxes : None or float (N, 4): x, y, w, h in pixels, from the top left corner
    super_label : None or int (N,): the super-class (SOP: bicycle, cabinet, ...)
    reader : None, or callable row -> uint8 (H, W, 3) RGB or (H, W), for images that are not files
    rows : (N,) what `reader` is asked for; None: 0..N-1

    Attributes
    ----------
    labels : int64 (N,), 0..C-1
    crop_box : True: `read` cuts the image to its box
    read_cut : True: what `reader` gives is cut to its box already (a store)
    """

    def __init__(self, class_id, paths=None, names=None, root='', classes=None, query=None, boxes=None,
                 super_label=None, reader=None, rows=None):
        self.class_id = np.asarray(class_id, dtype=np.int64)
        self.classes = np.unique(self.class_id) if classes is None else np.asarray(classes, dtype=np.int64)
        self.labels = np.searchsorted(self.classes, self.class_id).astype(np.int64)
        if not np.array_equal(self.classes[np.minimum(self.labels, len(self.classes) - 1)], self.class_id):
            raise ValueError('class_id holds ids that are not in classes')
        if names is None:
            self.names = [str(c) for c in self.classes]
        elif isinstance(names, dict):
            self.names = [names[c] for c in self.classes.tolist()]
        else:
            self.names = list(names)
        n = len(self.class_id)
        self.root = os.path.abspath(root)
        self.paths = np.full(n, '', dtype=object) if paths is None else np.asarray(paths, dtype=object)
        self.query = None if query is None else np.asarray(query, dtype=bool)
        self.boxes = None if boxes is None else np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        self.super_label = None if super_label is None else np.asarray(super_label, dtype=np.int64)
        self.reader = reader
        self.rows = np.arange(n) if rows is None else np.asarray(rows, dtype=np.int64)
        self.crop_box = self.read_cut = False
        for name, value in (('paths', self.paths), ('query', self.query), ('boxes', self.boxes), ('rows', self.rows),
                            ('super_label', self.super_label)):
            if value is not None and len(value) != n:
                raise ValueError(f'{name} has {len(value)} entries for {n} images')
        if len(self.names) != len(self.classes):
            raise ValueError(f'{len(self.names)} names for {len(self.classes)} classes')

    def __len__(self):
        return len(self.labels)

    @property
    def num_classes(self):
        return len(self.classes)

    def path(self, i):
        """The file of image i, or words that identify it."""
        if self.paths[i]:
            return os.path.join(self.root, self.paths[i])
        return f'image {int(self.rows[i])} (class {self.names[self.labels[i]]})'

    def read(self, i):
        """uint8 (H, W, 3) RGB. Raises BadImage naming the file."""
        if self.reader is None:
            image = read_listed(self.path(i))
        else:
            image = self.reader(int(self.rows[i]))
            if image.ndim == 2:
                image = np.repeat(image[:, :, None], 3, axis=2)
        if self.crop_box:
            image = cut(image, self.boxes[i])
        return image

    def subset(self, index, classes=None):
        """The rows `index` (int or bool array) as a Split of its own; labels are 0..C-1 of the classes that are left.

        classes : ascending raw ids that the labels count instead, for two splits that share their labels
        """
        index = np.asarray(index)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        if not len(index):
            raise UserError('a part of the data set would have no images. Fix: more photos, or another --split')
        classes = np.unique(self.class_id[index]) if classes is None else np.asarray(classes, dtype=np.int64)
        at = np.searchsorted(self.classes, classes)

        def take(values):
            return None if values is None else values[index]

        part = Split(self.class_id[index], self.paths[index], [self.names[k] for k in at], self.root, classes,
                     take(self.query), take(self.boxes), take(self.super_label), self.reader, self.rows[index])
        part.crop_box, part.read_cut = self.crop_box, self.read_cut
        return part


def bad_listed(path, reason):
    """BadImage of a file that a data set lists: such a one can be left out."""
    return BadImage(path, reason, 'mend or remove the file, or leave out what cannot be read with --on_bad_image=skip')


def read_listed(path):
    """uint8 (H, W, 3) RGB of a file that a data set lists. Raises BadImage naming it and --on_bad_image."""
    try:
        return read_image(path)
    except BadImage as error:
        raise bad_listed(path, error.reason) from error


def cut(image, box):
    """The part of the image inside box (x, y, w, h), bounded by the image and never empty."""
    height, width = image.shape[:2]
    x, y, w, h = box
    left, top = min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1)
    right, bottom = min(max(int(x + w), left + 1), width), min(max(int(y + h), top + 1), height)
    return image[top:bottom, left:right]
