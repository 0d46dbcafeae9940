"""Records: labels counted from zero, parts of parts, boxes."""

import numpy as np
import pytest

from core.errors import UserError
from datasets.records import Split, cut
from tests.datasets.test_pictures import PHOTO

RNG = np.random.RandomState


def test_labels_are_counted_from_zero_and_the_raw_ids_stay():
    split = Split([7, 3, 7, 100], ['a', 'b', 'c', 'd'], {3: 'three', 7: 'seven', 100: 'hundred'}, root='/r')
    assert split.labels.tolist() == [1, 0, 1, 2] and split.class_id.tolist() == [7, 3, 7, 100]
    assert split.names == ['three', 'seven', 'hundred'] and split.num_classes == 3 and split.path(3) == '/r/d'
    part = split.subset([3, 0])
    assert part.labels.tolist() == [1, 0] and part.names == ['seven', 'hundred'] and part.paths.tolist() == ['d', 'a']
    assert split.subset(split.labels == 2, classes=split.classes).labels.tolist() == [2]
    with pytest.raises(UserError):
        split.subset([])
    with pytest.raises(ValueError):
        Split([1, 2], classes=[1, 3])


def test_a_part_reads_the_images_of_the_whole():
    images = RNG(0).randint(0, 256, (5, 4, 4)).astype(np.uint8)
    split = Split([0, 0, 1, 1, 2], reader=images.__getitem__, boxes=[[1, 1, 2, 3]] * 5)
    part = split.subset([4, 2])
    assert part.read(0).shape == (4, 4, 3)
    np.testing.assert_array_equal(part.read(1)[:, :, 2], images[2])
    part.crop_box = True
    np.testing.assert_array_equal(part.read(1)[:, :, 0], images[2][1:4, 1:3])


def test_boxes_are_bounded_by_the_image_and_never_empty():
    assert cut(PHOTO, (50, 40, 100, 100)).shape == (4, 10, 3)
    assert cut(PHOTO, (-5, -5, 10, 10)).shape == (5, 5, 3)
    assert cut(PHOTO, (500, 500, 3, 3)).shape == (1, 1, 3)
    assert cut(PHOTO, (3, 3, 0, 0)).shape == (1, 1, 3)
