"""Pictures as the originals make them: against MXNet, PIL, direct computation and the recorded test view."""

import json
import resource

import cv2
import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from core.runtime import nd
from datasets import transforms
from datasets.records import cut
from datasets.transforms import TRANSFORMS, get_transform
from tests.shared import SHARED, needs_shared

RNG = np.random.RandomState
PHOTO = cv2.resize(RNG(0).randint(0, 256, (24, 32, 3)).astype(np.uint8), (400, 300), interpolation=cv2.INTER_CUBIC)


def call(name, train, size, image, rng):
    """One picture; ranking_batch also gets its offset, drawn from the same generator."""
    transform = get_transform(name, train, size)
    draw = getattr(transform, 'draw_batch', None)
    return transform(image, rng, *(() if draw is None else (draw(rng),)))


@pytest.mark.parametrize('name', sorted(TRANSFORMS))
@pytest.mark.parametrize('train', [True, False])
def test_every_transform_is_uint8_of_the_size_asked_for_and_draws_from_its_seed_alone(name, train):
    for image in (PHOTO, PHOTO.transpose(1, 0, 2), PHOTO[:30, :41], PHOTO[:1, :1]):
        for size in (28, 64, 224, 299):
            before = image.copy()
            np.random.seed(0)
            picture = call(name, train, size, image, RNG(7))
            np.random.seed(1)
            again = call(name, train, size, image, RNG(7))
            assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
            np.testing.assert_array_equal(picture, again)
            np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize('name', sorted(set(TRANSFORMS) - {'none', 'mnist', 'heated_up_center'}))
def test_training_varies_with_the_seed_and_testing_does_not(name):
    assert len({call(name, True, 64, PHOTO, RNG(k)).tobytes() for k in range(12)}) >= 2
    assert len({call(name, False, 64, PHOTO, RNG(k)).tobytes() for k in range(4)}) == 1


def plain(image, width, height):
    """MXNet's own bilinear resize."""
    return nd.image.resize(nd.array(image, dtype='uint8'), size=(width, height), keep_ratio=False, interp=1).asnumpy()


def test_resizing_is_that_of_mxnet_and_of_pil():
    np.testing.assert_array_equal(transforms.resize(PHOTO, 227, 227), plain(PHOTO, 227, 227))
    np.testing.assert_array_equal(transforms.resize_pil(PHOTO, 90, 80),
                                  np.asarray(Image.fromarray(PHOTO).resize((90, 80), Image.Resampling.BILINEAR)))


def test_embedding_expansion_is_a_resize_or_a_crop_of_a_larger_one_and_a_flip():
    small, large = plain(PHOTO, 227, 227), plain(PHOTO, 255, 255)
    np.testing.assert_array_equal(call('embedding_expansion', False, 227, PHOTO, None), small)
    kinds, tops = [], []
    candidates = {small.tobytes(): 'resized', small[:, ::-1].tobytes(): 'resized flipped'}
    windows = {large[top:top + 227, left:left + 227, 0][:1].tobytes(): (top, left)
               for top in range(29) for left in range(29)}
    for k in range(400):
        picture = call('embedding_expansion', True, 227, PHOTO, RNG(k))
        kind = candidates.get(picture.tobytes())
        if kind is None:
            kind = 'cropped'
            at = windows.get(picture[:1, :, 0].tobytes())
            if at is None:
                kind, picture = 'cropped flipped', picture[:, ::-1]
                at = windows[picture[:1, :, 0].tobytes()]
            np.testing.assert_array_equal(picture, large[at[0]:at[0] + 227, at[1]:at[1] + 227])
            tops += at
        kinds.append(kind)
    for kind in ('resized', 'resized flipped', 'cropped', 'cropped flipped'):
        assert 70 <= kinds.count(kind) <= 130                           # a quarter of 400 each
    assert min(tops) == 0 and max(tops) == 28


@pytest.mark.parametrize('name, large, last', [
    ('heated_up', np.asarray(Image.fromarray(PHOTO).resize((256, 256), Image.Resampling.LANCZOS)), 31),
    ('margin', plain(PHOTO, 256, 256), 32),
    ('local_sampling', np.asarray(Image.fromarray(PHOTO).resize((256, 256), Image.Resampling.BILINEAR)), 32),
    ('ranking_batch', plain(PHOTO, 256, 256), 31),
])
def test_crops_of_224_from_256(name, large, last):
    np.testing.assert_array_equal(call(name, False, 224, PHOTO, RNG(0)), large[16:240, 16:240])
    windows = {}
    for flipped, source in ((False, large), (True, large[:, ::-1])):
        for top in range(33):
            for left in range(33):
                square = source[top:top + 224, left:left + 224]
                if flipped and name == 'ranking_batch':                 # one column off
                    square = np.pad(square, ((0, 0), (1, 0), (0, 0)), constant_values=128)[:, :-1]
                windows[square[0].tobytes()] = (flipped, top, left, square)
    found = []
    for k in range(200):
        picture = call(name, True, 224, PHOTO, RNG(k))
        flipped, top, left, square = windows[picture[0].tobytes()]
        np.testing.assert_array_equal(picture, square)
        if flipped and name in ('heated_up', 'local_sampling', 'ranking_batch'):
            left = 32 - left                                            # cropped first, flipped after
        found.append((flipped, top, left))
    flips, tops, lefts = np.array(found).T
    assert 72 <= flips.sum() <= 128
    assert (tops.min(), tops.max()) == (lefts.min(), lefts.max()) == (0, last)


def test_heated_up_without_data_augment_trains_on_the_centre():
    np.testing.assert_array_equal(call('heated_up_center', True, 224, PHOTO, RNG(3)),
                                  call('heated_up', False, 224, PHOTO, None))


def test_margin_simple_trains_on_the_whole_square():
    whole = plain(plain(PHOTO, 256, 256), 224, 224)
    seen = {call('margin_simple', True, 224, PHOTO, RNG(k)).tobytes() for k in range(20)}
    assert seen == {whole.tobytes(), np.ascontiguousarray(whole[:, ::-1]).tobytes()}
    np.testing.assert_array_equal(call('margin_simple', False, 224, PHOTO, None),
                                  plain(PHOTO, 256, 256)[16:240, 16:240])


def test_npair_keeps_the_aspect_ratio():
    large = np.asarray(Image.fromarray(PHOTO).resize((341, 256), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(call('npair', False, 227, PHOTO, None), large[14:241, 57:284])


@pytest.mark.parametrize('width, height', [(467, 350), (683, 512), (93, 70)])
def test_tensorflow_1_resize_against_its_definition(width, height):
    exact = np.empty((20, 20, 3))
    for y in range(20):
        for x in range(20):
            row, column = np.float32(y + 40) * np.float32(300 / height), np.float32(x + 7) * np.float32(400 / width)
            r, c = int(row), int(column)
            r2, c2 = min(r + 1, 299), min(c + 1, 399)
            above = PHOTO[r, c] * (1.0 - (column - c)) + PHOTO[r, c2] * (column - c)
            below = PHOTO[r2, c] * (1.0 - (column - c)) + PHOTO[r2, c2] * (column - c)
            exact[y, x] = above * (1 - (row - r)) + below * (row - r)
    got = transforms.resize_tf1(PHOTO, width, height, 40, 7, 20)
    assert np.abs(got - exact).max() <= 0.5 + 1e-3                      # rounded, and nothing else


def test_ranking_img_sizes(monkeypatch):
    seen = []
    monkeypatch.setattr(transforms, 'resize_tf1', lambda image, width, height, top, left, size: seen.append(
        (width, height, top, left)) or np.zeros((size, size, 3), np.uint8))
    call('ranking_img', False, 299, PHOTO, None)
    assert seen.pop() == (466, 350, 25, 83)
    for k in range(2000):
        call('ranking_img', True, 224, PHOTO, RNG(k))
    width, height, top, left = np.array(seen).T
    assert height.min() == 350 and height.max() == 512 and (abs(width - height * 400 // 300) <= 2).all()
    assert top.min() == 0 and ((height - 224) - top).min() == 0 and ((width - 224) - left).min() <= 2
    with pytest.raises(UserError, match='--image_size=400'):
        call('ranking_img', True, 400, PHOTO, RNG(0))


def test_one_pixel_is_lost_with_25_of_900_sizes():
    found = [transforms.short_side_tf1(np.zeros((size, 2000, 3), np.uint8), 350)[1] for size in range(200, 1100)]
    assert set(found) == {349, 350} and found.count(349) == 25 and found[270 - 200] == 349


def test_the_flip_of_the_whole_batch_is_one_column_off():
    row = np.arange(5, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    assert transforms.flip_one_off(row)[0, :, 0].tolist() == [128, 4, 3, 2, 1]


@pytest.mark.parametrize('name', sorted(TRANSFORMS))
def test_a_line_of_20000_pixels_takes_no_gigabytes(name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for shape in ((1, 20000, 3), (20000, 1, 3)):
        assert call(name, True, 224, np.zeros(shape, np.uint8), RNG(0)).shape == (224, 224, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000     # KiB


def test_letters_move_but_are_never_mirrored():
    letter = np.zeros((48, 48, 3), np.uint8)
    letter[20:24, 10:16] = 255
    for k in range(50):
        rows, columns = np.nonzero(call('glyphs', True, 48, letter, RNG(k))[:, :, 0])
        assert 17 <= rows.min() <= 23 and 7 <= columns.min() <= 13 and np.ptp(rows) == 3 and np.ptp(columns) == 5


@needs_shared
@pytest.mark.parametrize('number', [5, 6])
def test_the_cub_test_view_as_recorded(number):
    recorded = np.load(SHARED / f'reference/deep_embedding/transform_cub_test_{number}.npz')
    flags = json.loads(str(recorded['param_json'].reshape(-1)[0]))
    image = recorded['in_image_hwc'].astype(np.uint8)
    if flags['box']:
        image = cut(image, flags['box'])
    picture = get_transform('margin', False, flags['crop'])(image, None)
    scaled = ((picture / 255 - flags['mean']) / flags['std']).transpose(2, 0, 1)
    step = flags['subsample']
    np.testing.assert_allclose(scaled[None, :, ::step, ::step], recorded['out_image_subsampled'], atol=1e-6)
    np.testing.assert_allclose(scaled.mean(), recorded['out_mean'][0], atol=1e-6)


def test_unknown_names_are_refused_with_the_legal_ones():
    with pytest.raises(UserError, match='Did you mean margin'):
        get_transform('margn', True, 224)
