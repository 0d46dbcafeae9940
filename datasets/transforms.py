"""Augmentation and test view of each paper, by name: uint8 pictures in, uint8 pictures out.

A transform draws from the RandomState it is given and from nothing else. Scaling to floats and normalisation are the
network's work, on the device. `cv2` resizes where the original did it through MXNet (bilinear, no antialiasing), PIL
where it used torchvision (bilinear with antialiasing).

The originals fix their sizes for one picture size (256 before a crop of 224, ...). That size gives their numbers; other
sizes keep the proportion.
"""

import numpy as np

from core.errors import UserError, pick
from core.lazy import lazy

cv2 = lazy('cv2')
Image = lazy('PIL.Image')


class Transform:
    """Base class: picture = transform(image uint8 (H, W, 3), rng), uint8 (size, size, 3)."""

    def __init__(self, train, size):
        self.train, self.size = train, size

    def __call__(self, image, rng):
        raise NotImplementedError(f'{type(self).__name__} must define __call__')


def resize(image, width, height):
    """Bilinear without antialiasing, as MXNet's image operators (which call the same function)."""
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def resize_pil(image, width, height, method=None):
    """With antialiasing, as torchvision on PIL images."""
    return np.asarray(Image.fromarray(image).resize((width, height), method or Image.Resampling.BILINEAR))


def short_side(image, side):
    """(width, height) with the short side `side`, the long one truncated, as torchvision computes it."""
    height, width = image.shape[:2]
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side


def short_side_tf1(image, side):
    """(width, height) as TensorFlow 1's preprocessing computes it.

    ORIGINAL: the scale and its products are float32 and cut off, so the short side can be one pixel shorter than asked
    for (349 for 350 with 25 of the sizes 200..1099).
    """
    height, width = image.shape[:2]
    scale = np.float32(side) / np.float32(min(height, width))
    return int(np.float32(width) * scale), int(np.float32(height) * scale)


def not_too_long(image, aspect=64):
    """The middle of a picture that is more than `aspect` times as long as wide.

    DIFFERS: enlarged by its short side, a line of 1 x 20,000 pixels would take 8 GB; no photo is so long.
    """
    height, width = image.shape[:2]
    longest = aspect * min(height, width)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return image[top:top + longest, left:left + longest]


def scaled(size, of_256=224):
    """256 for a crop of 224 (of_256), in proportion for other sizes."""
    return int(round(size * 256 / of_256))


def enlarged(size):
    """The side from which Embedding Expansion cuts its crops: 1.125 times that of the view."""
    return int(round(1.125 * size))


def crop(image, top, left, size):
    return image[top:top + size, left:left + size]


def random_crop(image, size, rng):
    """A size x size part at a uniform whole offset; both ends count."""
    top = rng.randint(image.shape[0] - size + 1)
    left = rng.randint(image.shape[1] - size + 1)
    return crop(image, top, left, size)


def center_crop(image, size):
    return crop(image, (image.shape[0] - size) // 2, (image.shape[1] - size) // 2, size)


def flip(image):
    """Mirrored left to right. A view with a negative stride would cost the batch 25 times more when it is copied."""
    return cv2.flip(image, 1)


def flip_one_off(image):
    """Mirrored by TensorFlow 1's projective transform x -> width - x.

    ORIGINAL: one column off: the first column is lost and the new first column is 0 after preprocessing.
    DIFFERS: that column is 128 here, which is 0 within half a grey level for networks that take pixels of -1..1.
    """
    mirrored = np.full_like(image, 128)
    mirrored[:, 1:] = image[:, :0:-1]
    return mirrored


def random_flip(image, rng):
    """Mirrored with probability 1/2."""
    return flip(image) if rng.random_sample() < 0.5 else image


class EmbeddingExpansion(Transform):
    """Embedding Expansion: half the pictures are resized to S x S, the other half to round(1.125 S) and cut to S x S
    at an offset rounded from uniform(0, range); then a flip. Test: resized to S x S. The aspect ratio is not kept."""

    def __call__(self, image, rng):
        size = self.size
        if not self.train:
            return resize(image, size, size)
        if rng.random_sample() < 0.5:
            image = resize(image, size, size)
        else:
            large = enlarged(size)
            image = resize(image, large, large)
            # ORIGINAL: rounding a uniform number makes the two outermost offsets half as likely as the others.
            top = int(round(rng.uniform(0, large - size)))
            left = int(round(rng.uniform(0, large - size)))
            image = crop(image, top, left, size)
        return random_flip(image, rng)


class HeatedUp(Transform):
    """Heated-Up Softmax with --data_augment: 256 x 256 (PIL's ANTIALIAS, which is Lanczos; aspect ratio not kept), a
    flip, a 224 crop at a whole offset of 0..31. Test: the crop at 16."""

    def __call__(self, image, rng):
        large = scaled(self.size)
        image = resize_pil(image, large, large, Image.Resampling.LANCZOS)
        if not self.train:
            return center_crop(image, self.size)
        mirrored = rng.random_sample() < 0.5
        # ORIGINAL: offsets 0..31, the last possible one (32) is never drawn.
        top, left = rng.randint(max(large - self.size, 1), size=2)
        image = crop(image, top, left, self.size)
        return flip(image) if mirrored else image


class HeatedUpCenter(HeatedUp):
    """Heated-Up Softmax without --data_augment: the centre crop also in training."""

    def __init__(self, train, size):
        super().__init__(False, size)


class Margin(Transform):
    """Margin loss on CUB (with --crop_box): 256 x 256, a flip, a random 224 crop; test: centre crop."""

    def __call__(self, image, rng):
        large = scaled(self.size)
        image = resize(image, large, large)
        if not self.train:
            return center_crop(image, self.size)
        return random_crop(random_flip(image, rng), self.size, rng)


class HDC(Margin):
    """Hard-aware deeply cascaded embedding: 256 x 256 (aspect ratio not kept), a random 224 crop, no mirroring; test:
    centre crop."""

    def __call__(self, image, rng):
        if not self.train:
            return super().__call__(image, rng)
        large = scaled(self.size)
        return random_crop(resize(image, large, large), self.size, rng)


class MarginSimple(Transform):
    """Margin loss on Online Products, In-shop and the second CUB loader: 256 x 256, the whole square resized to 224,
    a flip. Test: 256 x 256, centre crop.

    ORIGINAL: the random crop of scale (1, 1) and ratio (1, 1) is always the whole square, so training sees larger
    surroundings than testing.
    """

    def __call__(self, image, rng):
        large = scaled(self.size)
        image = resize(image, large, large)
        if not self.train:
            return center_crop(image, self.size)
        return random_flip(resize(image, self.size, self.size), rng)


class NPair(Transform):
    """Multi-class N-pair: short side 256, a random 227 crop, a flip.

    DIFFERS: the test view is the centre crop; the original also tests on random crops.
    """

    def __call__(self, image, rng):
        image = not_too_long(image)
        image = resize_pil(image, *short_side(image, scaled(self.size, 227)))
        if not self.train:
            top, left = (int(round((side - self.size) / 2)) for side in image.shape[:2])     # as torchvision rounds
            return crop(image, top, left, self.size)
        return random_flip(random_crop(image, self.size, rng), rng)


class RankingImage(Transform):
    """Ranking regulariser, --aug_style=img: short side a random whole number of 350..512, a random crop, a flip; test:
    short side 350, centre crop. The sizes are for crops of 224 and more and shrink in proportion below that.

    The resize is TensorFlow 1's: source = target * scale (no half-pixel shift), bilinear, no antialiasing.
    DIFFERS: rounded to whole grey levels, so a picture is at most 0.5/255 off.
    """

    low, high = 350, 512

    def __call__(self, image, rng):
        shrink = min(1.0, self.size / 224)
        low, high = int(round(self.low * shrink)), int(round(self.high * shrink))
        if self.size > low:
            raise UserError(f'--image_size={self.size} is larger than the short side {low} that '
                            f'--transform=ranking_img crops from. Fix: at most {low}')
        side = rng.randint(low, high + 1) if self.train else low
        width, height = (max(length, self.size) for length in short_side_tf1(image, side))
        if self.train:
            top, left = rng.randint(height - self.size + 1), rng.randint(width - self.size + 1)
        else:
            top, left = (height - self.size) // 2, (width - self.size) // 2
        image = resize_tf1(image, width, height, top, left, self.size)
        return random_flip(image, rng) if self.train else image


def resize_tf1(image, width, height, top, left, size):
    """crop(resize(image)) of TensorFlow 1 (align_corners=False); only the cut square is computed."""
    rows, across = _corners(image.shape[0], height, top, size), _corners(image.shape[1], width, left, size)
    first, last = across[0][0], across[1][-1] + 1
    (above, below, down), (before, after, right) = rows, across
    part = image[:, first:last].astype(np.float32)
    part = part[above] + (part[below] - part[above]) * down[:, None, None]
    before, after = before - first, after - first
    part = part[:, before] + (part[:, after] - part[:, before]) * right[None, :, None]
    return np.rint(part).astype(np.uint8)


def _corners(source, target, start, size):
    """For targets start..start+size-1: the pixel below, the pixel above, the weight of the one above."""
    at = np.arange(start, start + size, dtype=np.float32) * np.float32(source / target)
    low = at.astype(np.int64)
    return low, np.minimum(low + 1, source - 1), at - low


class RankingBatch(Transform):
    """Ranking regulariser, --aug_style=batch: 256 x 256, one 224 crop at offsets 0..31 for the whole batch, a flip
    for each picture (one column off, see flip_one_off); test: centre crop.

    DIFFERS: the original expects files of 256 x 256; others are resized here.
    """

    def draw_batch(self, rng):
        """The crop's offsets, drawn once for each batch."""
        return rng.randint(max(scaled(self.size) - self.size, 1), size=2)

    def __call__(self, image, rng, offset):
        large = scaled(self.size)
        if image.shape[:2] != (large, large):
            image = resize(image, large, large)
        if not self.train:
            return center_crop(image, self.size)
        image = crop(image, *offset, self.size)
        return flip_one_off(image) if rng.random_sample() < 0.5 else image


class LocalSampling(Transform):
    """Local sampling: 256 x 256 (antialiased, aspect ratio not kept), a random crop, a flip; test: centre crop."""

    def __call__(self, image, rng):
        large = scaled(self.size)
        image = resize_pil(image, large, large)
        if not self.train:
            return center_crop(image, self.size)
        return random_flip(random_crop(image, self.size, rng), rng)


class Plain(Transform):
    """No augmentation: resized to S x S if it is not yet."""

    def __call__(self, image, rng):
        size = self.size
        return image if image.shape[:2] == (size, size) else resize(image, size, size)


class Glyphs(Plain):
    """The drawn letters: moved by up to S/16 pixels each way (edges repeated), never mirrored. Test: as they are."""

    def __call__(self, image, rng):
        image = super().__call__(image, rng)
        if not self.train:
            return image
        reach = self.size // 16
        image = cv2.copyMakeBorder(image, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
        return random_crop(image, self.size, rng)


TRANSFORMS = {
    'embedding_expansion': EmbeddingExpansion,
    'heated_up': HeatedUp,
    'heated_up_center': HeatedUpCenter,
    'margin': Margin,
    'margin_simple': MarginSimple,
    'hdc': HDC,
    'npair': NPair,
    'ranking_img': RankingImage,
    'ranking_batch': RankingBatch,
    'local_sampling': LocalSampling,
    'mnist': Plain,
    'glyphs': Glyphs,
    'none': Plain,
}


def get_transform(name, train, size):
    """callable(image uint8 (H, W, 3), RandomState) -> uint8 (size, size, 3). Raises UserError that lists all names."""
    return pick('--transform', name, TRANSFORMS)(train, size)
