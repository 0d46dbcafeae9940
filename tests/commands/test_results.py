"""Every evaluation of a run has a folder of its own, and none takes the place of another."""

import doctest

from commands import results, words

RUN = {'data_name': 'cub200', 'data_dir': '/a/birds', 'image_size': 227, 'transform': 'npair', 'metric': 'euclidean',
       'crop_box': False, 'split': 'auto', 'val_classes': 0.0, 'gpu_idx': '', 'recallk': [1, 2], 'pretrained': 'true',
       'mean': [0.5, 0.5, 0.5]}


def name(source='runs/A/last', **changes):
    return results.name_inside_run('evaluation', source, dict(RUN, **changes), RUN)


def test_what_changes_the_numbers_is_in_the_name():
    names = [name(), name('runs/A/best'), name(image_size=256), name(metric='cosine'), name(data_dir='/b/birds'),
             name(data_dir='/c/birds'), name(data_name='cars196'), name(crop_box=True), name(mean=[0.0, 0.0, 0.0]),
             name('runs/A/best', image_size=256), name(data_name='folder', data_dir='x'),
             name(data_name='folder', data_dir='y')]
    assert len(set(names)) == len(names)
    assert names[0] == 'evaluation' and names[1] == 'evaluation_best' and names[6].startswith('evaluation_cars196')
    assert names[2] == 'evaluation_image_size=256' and names[8] == 'evaluation_mean=0.0,0.0,0.0'


def test_what_does_not_change_them_is_not():
    assert name(gpu_idx='0', recallk=[1], pretrained='false', data_dir='/a/../a/birds') == 'evaluation'


def test_names_are_names_of_files():
    assert '/' not in name(data_dir='/x/a b:c/"d"') and '\n' not in name(transform='a\nb')


def test_examples_hold():
    assert doctest.testmod(results).failed == doctest.testmod(words).failed == 0
