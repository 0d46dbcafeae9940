"""Image files of every kind, whole and damaged: what is read, what is refused, and that it costs nothing to refuse."""

import os
import pathlib
import resource
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from datasets import pictures
from datasets.pictures import BadImage, check_header, read_image
from datasets.records import Split

PHOTO = cv2.resize(np.random.RandomState(0).randint(0, 256, (6, 8, 3)).astype(np.uint8), (60, 44),
                   interpolation=cv2.INTER_CUBIC)


def write(path, image=PHOTO, **options):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(image).save(path, **options)
    return str(path)


def as_pil(path):
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))


@pytest.mark.parametrize('mode, name', [
    ('RGB', 'a.jpg'), ('L', 'a.jpg'), ('CMYK', 'a.jpg'), ('RGB', 'a.png'), ('L', 'a.png'), ('RGBA', 'a.png'),
    ('LA', 'a.png'), ('P', 'a.png'), ('1', 'a.png'), ('RGB', 'a.bmp'), ('RGB', 'a.webp'), ('P', 'a.gif'),
    ('RGB', 'a.tif'), ('CMYK', 'a.tif'), ('RGB', 'a.wrong')])
def test_every_colour_mode_reads_as_pil_converts_it(tmp_path, mode, name):
    path = str(tmp_path / name)
    image = Image.fromarray(PHOTO).convert(mode)
    if mode in ('RGBA', 'LA'):
        image.putalpha(Image.fromarray(PHOTO[:, :, 0]))
    image.save(path, format='JPEG' if name == 'a.wrong' else None)
    got = read_image(path)
    assert got.dtype == np.uint8 and got.shape == (44, 60, 3)
    np.testing.assert_array_equal(got, as_pil(path))


@pytest.mark.parametrize('name', ['a.jpg', 'a.png'])
@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_pictures_are_upright_by_their_exif_tag(tmp_path, name, mode, orientation):
    if mode == 'CMYK' and name == 'a.png':
        pytest.skip('PNG has no CMYK')
    path = str(tmp_path / name)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PHOTO).convert(mode).save(path, exif=exif)
    got = read_image(path)
    assert got.shape == ((44, 60, 3) if orientation < 5 else (60, 44, 3))
    np.testing.assert_array_equal(got, as_pil(path))


def test_sixteen_bit_pictures_keep_their_upper_eight(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, PHOTO[:, :, ::-1].astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(path), PHOTO)


@pytest.mark.parametrize('name', ['a.jpg', 'a.png', 'progressive.jpg', 'thumbnail.jpg', 'a.webp'])
@pytest.mark.parametrize('part', [0.0, 0.02, 0.5, 0.9])
def test_a_truncated_file_is_named(tmp_path, name, part):
    path = str(tmp_path / name)
    options = {'progressive.jpg': {'progressive': True}}.get(name, {})
    big = cv2.resize(PHOTO, (300, 200), interpolation=cv2.INTER_NEAREST)
    if name == 'thumbnail.jpg':                                  # a whole JPEG, end marker included, inside the header
        small = str(tmp_path / 'small.jpg')
        Image.fromarray(PHOTO[:8, :8]).save(small)
        options = {'comment': pathlib.Path(small).read_bytes()}
    Image.fromarray(big).save(path, **options)
    data = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(data[:int(len(data) * part)])
    with pytest.raises(BadImage) as error:
        read_image(path)
    assert path in str(error.value) and '--on_bad_image' not in str(error.value)    # the flag of a data set
    with pytest.raises(BadImage, match=f'{path}: .* --on_bad_image=skip'):
        Split([0], [name], root=tmp_path).read(0)
    with pytest.raises(BadImage):
        check_header(path)


def test_a_library_that_lets_cut_off_pictures_pass_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr('PIL.ImageFile.LOAD_TRUNCATED_IMAGES', True)
    path = tmp_path / 'a.jpg'
    Image.fromarray(PHOTO).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    for check in (read_image, check_header):
        with pytest.raises(BadImage, match='truncated'):
            check(path)


def test_missing_and_senseless_files_are_named(tmp_path):
    for name, content in (('missing.jpg', None), ('text.jpg', b'hello'), ('header.jpg', b'\xff\xd8\xff'),
                          ('empty.jpg', b'')):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        for check in (read_image, check_header):
            with pytest.raises(BadImage, match=name):
                check(str(path))


@pytest.mark.parametrize('name, values, grey', [
    ('a.tif', [[0, 128 << 8, 255 << 8]], [0, 128, 255]), ('a.png', [[0, 128 << 8, 255 << 8]], [0, 128, 255]),
    ('a.pgm', [[0, 128 << 8, 255 << 8]], [0, 128, 255]), ('dark.pgm', [[0, 5, 255]], [0, 0, 0])])
def test_sixteen_bits_of_grey_keep_their_upper_eight(tmp_path, name, values, grey):
    values = np.array(values, dtype=np.uint16)
    if name.endswith('.pgm'):
        (tmp_path / name).write_bytes(b'P5\n3 1\n65535\n' + values.astype('>u2').tobytes())
    else:
        Image.fromarray(values).save(tmp_path / name)
    assert read_image(tmp_path / name)[0].tolist() == [[level] * 3 for level in grey]


@pytest.mark.parametrize('factor, kind', [(1, np.int32), (256, np.int32), (257, np.int32), (1 << 16, np.int32),
                                          (1 << 23, np.int32), (1 / 255, np.float32), (1, np.float32),
                                          (257, np.float32), (1e6, np.float32)])
def test_integers_and_floats_of_32_bits_use_the_range_that_they_fill(tmp_path, factor, kind):
    grey = np.arange(256).reshape(16, 16)
    Image.fromarray((grey * factor).astype(kind)).save(tmp_path / 'a.tif')
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif')[:, :, 1], grey)


def test_floats_below_zero_are_stretched_and_nan_is_black():
    assert pictures.eight_bits(np.array([[-1.0, 0.0, 1.0]]))[0].tolist() == [0, 128, 255]
    assert pictures.eight_bits(np.array([[np.nan, 0.0, 1.0]]))[0].tolist() == [0, 0, 255]
    assert pictures.eight_bits(np.zeros((1, 2))).tolist() == [[0, 0]]


def bomb(kind):
    """A small file that claims 20,000 x 20,000 pixels."""
    if kind == 'jpg':
        data = bytearray(cv2.imencode('.jpg', PHOTO)[1].tobytes())
        at = data.index(b'\xff\xc0')
        data[at + 5:at + 9] = struct.pack('>HH', 20000, 20000)
        return bytes(data)
    if kind == 'bmp':
        head = 70, 0, 0, 54, 40, 20000, 20000, 1, 24, 0, 0, 0, 0, 0, 0
        return b'BM' + struct.pack('<IHHIIiiHHIIiiII', *head) + bytes(16)
    header = struct.pack('>IIBBBBB', 20000, 20000, 8, 2, 0, 0, 0)

    def chunk(name, body):
        return struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(bytes(10 ** 6))) + chunk(
        b'IEND', b'')


@pytest.mark.parametrize('kind', ['jpg', 'png', 'bmp'])
def test_the_size_is_read_before_anything_is_decoded(tmp_path, kind):
    path = tmp_path / f'a.{kind}'
    path.write_bytes(bomb(kind))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for check in (read_image, check_header):
        with pytest.raises(BadImage, match='claims 20,000 x 20,000 pixels|claims more than the'):
            check(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000     # KiB; decoded it takes 1.2 GB


@pytest.mark.parametrize('mode, name', [('RGB', 'a.png'), ('1', 'a.png'), ('L', 'a.jpg'), ('RGB', 'a.jpg')])
def test_a_flat_picture_holds_its_pixels_and_a_false_size_does_not(tmp_path, mode, name):
    path = tmp_path / name
    Image.new(mode, (3000, 2000)).save(path, **({'progressive': True, 'optimize': True} if name == 'a.jpg' else {}))
    check_header(path)
    assert not read_image(path).any()
    data = bytearray(path.read_bytes())
    at = 16 if name == 'a.png' else max(data.find(b'\xff\xc0'), data.find(b'\xff\xc2')) + 5
    data[at:at + (8 if name == 'a.png' else 4)] = struct.pack('>II' if name == 'a.png' else '>HH', 12000, 13000)
    path.write_bytes(data)
    if mode == '1':     # with one bit a pixel the file might hold them
        return
    for check in (read_image, check_header):
        with pytest.raises(BadImage, match='bytes cannot hold the 1[23],000 x 1[23],000 pixels'):
            check(path)


def test_a_chunk_that_claims_gigabytes_is_not_believed(tmp_path):
    path = tmp_path / 'a.png'
    Image.fromarray(PHOTO).save(path)
    data = bytearray(path.read_bytes())
    at = data.index(b'IDAT')
    data[at - 4:at] = struct.pack('>I', 2 ** 31 - 1)
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.testing.assert_array_equal(read_image(path), PHOTO)       # its pixels are all there
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000     # KiB


def test_pipes_folders_and_giants_are_no_pictures(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'folder.jpg').mkdir()
    os.symlink('/dev/zero', tmp_path / 'zero.jpg')
    os.symlink(tmp_path / 'loop.jpg', tmp_path / 'loop.jpg')
    write(str(tmp_path / 'giant.png'))
    monkeypatch.setattr(pictures, 'MAX_BYTES', 100)
    for name, words in (('pipe', 'it is no file'), ('folder', 'it is no file'), ('zero', 'it is no file'),
                        ('loop', 'symbolic links'), ('giant', 'bytes, more than the 100'), ('nul\0', 'null byte')):
        path = str(tmp_path / f'{name}.{"png" if name == "giant" else "jpg"}')
        for check in (read_image, check_header):
            with pytest.raises(BadImage, match=words):
                check(path)
        assert not pictures.is_picture(path)


def test_whatever_a_decoder_raises_is_a_bad_image(tmp_path):
    """A DirectDraw surface of an unknown layout raises NotImplementedError in PIL."""
    path = tmp_path / 'a.jpg'
    path.write_bytes(b'DDS ' + struct.pack('<7I', 124, 0x1007, 4, 4, 0, 0, 0) + bytes(44)
                     + struct.pack('<8I', 32, 4, 0x20202020, 0, 0, 0, 0, 0) + bytes(20) + bytes(64))
    for check in (read_image, check_header):
        with pytest.raises(BadImage, match='a.jpg'):
            check(path)


@pytest.mark.parametrize('seed', range(4))
def test_mutated_files_are_read_or_named(tmp_path, seed):
    rng = np.random.RandomState(seed)
    for name in ('a.jpg', 'a.png', 'a.tif', 'a.gif', 'a.bmp', 'a.webp', 'a.ppm', 'a.jp2'):
        path = tmp_path / name
        Image.fromarray(PHOTO).save(path)
        data = bytearray(path.read_bytes())
        for _ in range(8):
            damaged = bytearray(data)
            for at in rng.randint(len(data), size=rng.randint(1, 6)):
                damaged[at] = rng.randint(256)
            path.write_bytes(damaged[:rng.randint(1, len(data) + 1)] if rng.rand() < 0.3 else damaged)
            try:
                assert read_image(path).shape[2] == 3
            except BadImage as error:
                assert name in str(error)


def test_phones_write_heic_and_avif(tmp_path):
    formats = ['AVIF'] if 'AVIF' in Image.SAVE else []
    if pictures.pillow_heif is None:
        (tmp_path / 'a.heic').write_bytes(b'\0\0\0\x18ftypheic' + bytes(64))
        with pytest.raises(BadImage, match='pip install pillow-heif'):
            read_image(tmp_path / 'a.heic')
    else:
        formats.append('HEIF')
    for kind in formats:
        Image.fromarray(PHOTO).save(tmp_path / kind, format=kind, quality=100)
        assert pictures.is_picture(tmp_path / kind)
        assert np.abs(read_image(tmp_path / kind).astype(int) - PHOTO).mean() < 10    # colours at half the resolution


def test_files_without_an_ending_are_known_by_their_first_bytes(tmp_path):
    for kind in ('JPEG', 'PNG', 'GIF', 'TIFF', 'BMP', 'WEBP', 'PPM'):
        Image.fromarray(PHOTO).save(tmp_path / kind, format=kind)
        assert pictures.is_picture(tmp_path / kind), kind
    (tmp_path / 'README').write_text('text')
    assert not pictures.is_picture(tmp_path / 'README') and not pictures.is_picture(tmp_path / 'none')


def test_names_in_errors_steer_no_terminal(tmp_path):
    name = os.fsdecode(b'\xff\x1b[31m\n.jpg')
    (tmp_path / name).write_bytes(b'no picture')
    with pytest.raises(BadImage) as error:
        read_image(str(tmp_path / name))
    assert '\\xff\\x1b[31m\\n.jpg' in str(error.value) and '\x1b' not in str(error.value)
    assert error.value.path == str(tmp_path / name)
