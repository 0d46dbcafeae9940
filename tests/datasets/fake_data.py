"""Tiny copies of every benchmark, as the archives they are published in."""

import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
import zlib
from collections import defaultdict

import cv2
import numpy as np
import scipy.io

from datasets.benchmarks import BENCHMARKS
from datasets.benchmarks.base import Count


def photo(seed, height=40, width=52):
    """Bytes of a JPEG: a smooth random picture, another one for each seed."""
    rng = np.random.RandomState(seed)
    picture = cv2.resize(rng.randint(0, 256, (5, 6, 3), dtype=np.uint8), (width, height))
    return cv2.imencode('.jpg', picture)[1].tobytes()


def tar(path, files, mode='w:gz'):
    """Write {name: bytes} as a tar; a value of None is a folder."""
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            if data is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(data)
            archive.addfile(member, io.BytesIO(data or b''))


def zipped(path, files):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def lines(rows):
    return ('\n'.join(' '.join(str(value) for value in row) for row in rows) + '\n').encode()


def mat(**variables):
    """Bytes of a MATLAB file. A list of dicts becomes a struct array, a list of strings a cell array."""
    def convert(value):
        if isinstance(value, list) and isinstance(value[0], dict):
            table = np.empty((1, len(value)), dtype=[(key, object) for key in value[0]])
            for i, row in enumerate(value):
                table[0, i] = tuple(row.values())
            return table
        if isinstance(value, list):
            cells = np.empty((len(value), 1), dtype=object)
            cells[:, 0] = value
            return cells
        return value
    out = io.BytesIO()
    scipy.io.savemat(out, {key: convert(value) for key, value in variables.items()})
    return out.getvalue()


def cub200(folder):
    """Classes with gaps in their ids; 4 images each; a name in Unicode."""
    classes = {1: '001.Black_footed_Albatross', 7: '007.Dünnschnabelmöwe', 101: '101.White_Pelican', 150: '150.Owl'}
    files, images, labels, boxes, split = {'attributes.txt': b'1 has_bill\n'}, [], [], [], []
    for c, title in classes.items():
        for k in range(4):
            number = len(images) + 1
            name = f'{title}/{title[4:]}_{k:04d}.jpg'
            files['CUB_200_2011/images/' + name] = photo(number)
            images.append((number, name))
            labels.append((number, c))
            boxes.append((number, 4.0, 2.0, 30.0, 20.0 + k))
            split.append((number, int(k < 2)))
    for name, rows in (('images', images), ('image_class_labels', labels), ('bounding_boxes', boxes),
                       ('train_test_split', split), ('classes', classes.items())):
        files[f'CUB_200_2011/{name}.txt'] = lines(rows)
    tar(folder / 'CUB_200_2011.tgz', files)
    return {'cub200': {'train': {'images': 8, 'classes': 2}, 'test': {'images': 8, 'classes': 2}},
            'cub200_classification': {'train': {'images': 8, 'classes': 4}, 'test': {'images': 8, 'classes': 4}}}


def car_rows(classes, per_class, key, prefix, digits):
    rows = []
    for c in classes:
        for _ in range(per_class):
            name = '{}{:0{}d}.jpg'.format(prefix, len(rows) + 1, digits)
            rows.append({key: name, 'bbox_x1': 3, 'bbox_y1': 2, 'bbox_x2': 32, 'bbox_y2': 21, 'class': c})
    return rows


def cars196(folder):
    rows = car_rows((3, 98, 99, 196), 3, 'relative_im_path', 'car_ims/', 6)
    tar(folder / 'car_ims.tgz', {row['relative_im_path']: photo(i) for i, row in enumerate(rows)})
    titles = [f'Model {i}' for i in range(1, 197)]
    (folder / 'cars_annos.mat').write_bytes(mat(annotations=rows, class_names=titles))
    return {'cars196': {'train': {'images': 6, 'classes': 2}, 'test': {'images': 6, 'classes': 2}}}


def stanford_cars(folder):
    train = car_rows((1, 2, 196), 3, 'fname', '', 5)
    test = car_rows((1, 2, 196), 2, 'fname', '', 5)
    tar(folder / 'cars_train.tgz', {'cars_train/' + row['fname']: photo(i) for i, row in enumerate(train)})
    tar(folder / 'cars_test.tgz', {'cars_test/' + row['fname']: photo(100 + i) for i, row in enumerate(test)})
    tar(folder / 'car_devkit.tgz', {
        'devkit/cars_train_annos.mat': mat(annotations=train),
        'devkit/cars_meta.mat': mat(class_names=[f'Model {i}' for i in range(1, 197)])})
    (folder / 'cars_test_annos_withlabels.mat').write_bytes(mat(annotations=test))
    return {'stanford_cars': {'train': {'images': 9, 'classes': 3}, 'test': {'images': 6, 'classes': 3}}}


def cars_kaggle(folder):
    """The copy with class folders, from which both car sets can be made."""
    files, titles = {}, [f'Model {i}' for i in range(1, 197)]
    for half, per_class in (('train', 3), ('test', 2)):
        rows = []
        for c in (1, 98, 99, 196):
            for _ in range(per_class):
                name = f'{len(rows) + 1:05d}.jpg'
                place = f'car_data/car_data/{half}/{titles[c - 1]}/{name}'
                files[place] = photo(1000 * per_class + len(rows))
                rows.append(f'{name},3,2,32,21,{c}')
        files[f'anno_{half}.csv'] = '\n'.join(rows)
    files['names.csv'] = '\n'.join(titles)
    zipped(folder / 'stanford-car-dataset-by-classes-folder.zip', files)


def sop(folder):
    files, number = {}, 0
    for half, classes in (('train', (1, 2, 5)), ('test', (11319, 11320))):
        rows = [('image_id', 'class_id', 'super_class_id', 'path')]
        for c in classes:
            for k in range(3):
                number += 1
                kind = 'bicycle' if c % 2 else 'chair'
                path = f'{kind}_final/{c:012d}_{k}.JPG'
                files['Stanford_Online_Products/' + path] = photo(number)
                rows.append((number, c, 1 if c % 2 else 3, path))
        files[f'Stanford_Online_Products/Ebay_{half}.txt'] = lines(rows)
    zipped(folder / 'Stanford_Online_Products.zip', files)
    return {'sop': {'train': {'images': 9, 'classes': 3}, 'test': {'images': 6, 'classes': 2}}}


def inshop(folder):
    files, partition, boxes = {}, [], []
    plan = {1: ('train',) * 3, 4: ('train',) * 2, 7: ('query', 'gallery', 'gallery', 'gallery'),
            9: ('query', 'query', 'gallery', 'gallery')}
    for item, parts in plan.items():
        for k, part in enumerate(parts):
            name = 'img/{}/Dresses/id_{:08d}/{:02d}_1_front.jpg'.format('WOMEN' if item % 2 else 'MEN', item, k)
            files[name] = photo(10 * item + k, 256, 256)
            partition.append((name, f'id_{item:08d}', part))
            if (item, k) != (1, 2):
                boxes.append((name, 1, 1, 50, 20, 200, 250))
    zipped(folder / 'img.zip', files)
    (folder / 'list_eval_partition.txt').write_bytes(
        lines([(len(partition),), ('image_name', 'item_id', 'evaluation_status')] + partition))
    (folder / 'list_bbox_inshop.txt').write_bytes(
        lines([(len(boxes),), ('image_name', 'clothes_type', 'pose_type', 'x_1', 'y_1', 'x_2', 'y_2')] + boxes))
    return {'inshop': {'train': {'images': 5, 'classes': 2}, 'test': {'classes': 2, 'query': 3, 'gallery': 5}}}


def street2shop(folder):
    """meta.zip, and photos in folder/photos of which one is dead."""
    from datasets.benchmarks.street2shop import CATEGORIES
    files = {}
    (folder / 'photos').mkdir()
    for number, category in enumerate(CATEGORIES):
        base = 100 * number
        box = {'left': 2, 'top': 3, 'width': 20, 'height': 15}
        tables = {'train_pairs': [{'photo': base + 1, 'product': base + 1, 'bbox': box}],
                  'test_pairs': [{'photo': base + 2, 'product': base + 2, 'bbox': box},
                                 {'photo': base + 2, 'product': base + 3, 'bbox': box}],
                  'retrieval': [{'photo': base + 10 + k, 'product': base + k} for k in (1, 2, 3)]}
        for kind, rows in tables.items():
            files[f'meta/json/{kind}_{category}.json'] = json.dumps(rows)
            for row in rows:
                if row['photo'] != 13:
                    (folder / 'photos' / '{:09d}.jpg'.format(row['photo'])).write_bytes(photo(row['photo']))
    zipped(folder / 'meta.zip', files)
    return {'street2shop': {'train': {'images': 22}, 'test': {'query': 22, 'gallery': 32}}}


def lfw(folder):
    people = {'Ana_Ivanovic': 3, 'Bo_Xi': 2, 'Carla_Bruni': 1, 'Dai_Wei': 2}
    tar(folder / 'lfw.tgz', {f'lfw/{name}/{name}_{k:04d}.jpg': photo(zlib.crc32(name.encode()) + k, 50, 50)
                             for name, count in people.items() for k in range(1, count + 1)})
    (folder / 'pairs.txt').write_bytes(lines([
        (2, 2), ('Ana_Ivanovic', 1, 2), ('Bo_Xi', 1, 2), ('Ana_Ivanovic', 1, 'Bo_Xi', 1),
        ('Bo_Xi', 2, 'Carla_Bruni', 1), ('Ana_Ivanovic', 2, 3), ('Dai_Wei', 2, 1), ('Dai_Wei', 1, 'Bo_Xi', 1),
        ('Carla_Bruni', 1, 'Dai_Wei', 2)]))
    (folder / 'pairsDevTrain.txt').write_bytes(lines([(1,), ('Ana_Ivanovic', 1, 3), ('Ana_Ivanovic', 1, 'Bo_Xi', 1)]))
    (folder / 'pairsDevTest.txt').write_bytes(lines([(1,), ('Dai_Wei', 1, 2), ('Dai_Wei', 1, 'Carla_Bruni', 1)]))
    return {'lfw': {'test': {'images': 8, 'classes': 4}, 'pairs': {'pairs': 8, 'folds': 2}},
            'lfw_view1': {'train': {'images': 5, 'classes': 2}, 'test': {'images': 3, 'classes': 2}}}


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype='>i4').tobytes()
    return head + array.tobytes()


def mnist(folder):
    rng = np.random.RandomState(0)
    for half, count in (('train', 40), ('t10k', 20)):
        images = rng.randint(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / (half + '-images-idx3-ubyte.gz')).write_bytes(gzip.compress(idx(images)))
        (folder / (half + '-labels-idx1-ubyte.gz')).write_bytes(gzip.compress(idx(labels)))
    return {'mnist': {'train': {'images': 40, 'classes': 10}, 'test': {'images': 20, 'classes': 10}},
            'mnist_t10k': {'train': {'images': 16}, 'test': {'images': 4}}}


def aircraft(folder):
    variants = ['707-320', 'A300B4', 'Cessna 172']
    files, boxes, number = {}, [], 1000
    halves = defaultdict(list)
    for variant in variants:
        for half in ('train', 'train', 'val', 'test', 'test'):
            number += 1
            files[f'fgvc-aircraft-2013b/data/images/{number:07d}.jpg'] = photo(number)
            row = (f'{number:07d}', variant)
            halves[half].append(row)
            if half != 'test':
                halves['trainval'].append(row)
            boxes.append((row[0], 3, 2, 32, 21))
    for half, rows in halves.items():
        files[f'fgvc-aircraft-2013b/data/images_variant_{half}.txt'] = lines(rows)
    files['fgvc-aircraft-2013b/data/images_box.txt'] = lines(boxes)
    files['fgvc-aircraft-2013b/data/variants.txt'] = lines([(variant,) for variant in variants])
    tar(folder / 'fgvc-aircraft-2013b.tar.gz', files)
    return {'aircraft': {'train': {'images': 9, 'classes': 3}, 'test': {'images': 6, 'classes': 3}},
            'aircraft_train': {'train': {'images': 6}, 'test': {'images': 6}},
            'aircraft_val': {'train': {'images': 6}, 'test': {'images': 3}}}


def nabirds(folder):
    files, tables = {}, defaultdict(list)
    for c in (295, 817, 1010):
        for k in range(5):
            key = f'{c:08x}-{k:04d}'
            name = '{:04d}/{}.jpg'.format(c, key.replace('-', ''))
            files['nabirds/images/' + name] = photo(c + k)
            tables['images'].append((key, name))
            tables['image_class_labels'].append((key, c))
            tables['train_test_split'].append((key, int(k < 3)))
            tables['bounding_boxes'].append((key, 3, 2, 30, 20))
        tables['classes'].append((c, f'Bird number {c}'))
    files.update({f'nabirds/{name}.txt': lines(rows) for name, rows in tables.items()})
    tar(folder / 'nabirds.tar.gz', files)
    return {'nabirds': {'train': {'images': 9, 'classes': 3}, 'test': {'images': 6, 'classes': 3}}}


def flowers102(folder):
    labels = np.repeat([1, 2, 102], 4)
    tar(folder / '102flowers.tgz', {f'jpg/image_{i:05d}.jpg': photo(i) for i in range(1, 13)})
    ids = np.arange(1, 13).reshape(3, 4)
    (folder / 'imagelabels.mat').write_bytes(mat(labels=labels[None]))
    (folder / 'setid.mat').write_bytes(mat(trnid=ids[None, :, 0], valid=ids[None, :, 1],
                                           tstid=ids[:, 2:].reshape(1, -1)[:, ::-1]))
    return {'flowers102': {'train': {'images': 6, 'classes': 3}, 'test': {'images': 6, 'classes': 3}},
            'flowers102_train': {'train': {'images': 3}, 'test': {'images': 6}},
            'flowers102_val': {'train': {'images': 3}, 'test': {'images': 3}}}


def dogs(folder):
    breeds = ['n02085620-Chihuahua', 'n02113978-Mexican_hairless']
    files, lists = {}, {'train': ([], []), 'test': ([], [])}
    for label, breed in zip((1, 120), breeds):
        for k in range(6):
            name = f'{breed}/{breed[:9]}_{100 + k}.jpg'
            files['Images/' + name] = photo(100 * label + k)
            paths, labels = lists['train' if k < 3 else 'test']
            paths.append(name)
            labels.append(label)
    tar(folder / 'images.tar', files, 'w')
    tar(folder / 'lists.tar', {half + '_list.mat': mat(file_list=paths, labels=np.array(labels)[:, None])
                               for half, (paths, labels) in lists.items()}, 'w')
    return {'dogs': {'train': {'images': 6, 'classes': 2}, 'test': {'images': 6, 'classes': 2}}}


BUILDERS = {'cub200': cub200, 'cars196': cars196, 'stanford_cars': stanford_cars, 'sop': sop, 'inshop': inshop,
            'street2shop': street2shop, 'lfw': lfw, 'mnist': mnist, 'aircraft': aircraft, 'nabirds': nabirds,
            'flowers102': flowers102, 'dogs': dogs}


def facts(name, folder, address, numbers):
    """The Benchmark of `name` with the addresses, checksums, sizes and counts of the fake in `folder`."""
    def fake(archive):
        path = folder / archive.name
        if not path.exists():
            return archive
        urls = tuple(f'{address}/{archive.name}' for _ in archive.urls)
        data = path.read_bytes()
        digests = ('md5:' + hashlib.md5(data).hexdigest(),) if archive.digests else ()
        return dataclasses.replace(archive, urls=urls, digests=digests, size=len(data) if archive.size else None)
    benchmark = BENCHMARKS[name]
    return dataclasses.replace(
        benchmark, sources=tuple(tuple(fake(archive) for archive in source) for source in benchmark.sources),
        counts=tuple(Count(data_name, part, what, value, 'read', 'the fake')
                     for data_name, parts in numbers.items() for part, values in parts.items()
                     for what, value in values.items()))
