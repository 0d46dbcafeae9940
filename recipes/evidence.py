"""Evidence: each paper's claim as a fair comparison on photographs that fit a CPU. Nothing but data.

DATA : {name: flags}: data sets and trunks; DATA/ and WEIGHTS/ stand for --data_root and --weights_root
TITLES, SHORT : {name: words} for the page and for the table of the README
SPEEDS : {name: images a second of training on one core}, for what a claim will cost
POINTS : {name: evaluations in a training}, for the curves
CLAIMS : list of dicts:
    name, paper : of the claim
    says : what the paper says, in one sentence
    data : name in DATA
    updates, runs : of every training, seeds
    losses : {label: what `compare --losses` takes}
    better : (label, label): the first should be above the second if the claim holds
    flags : {flag: value} for all its trainings, may be missing
    grid, folds : instead of GRID and FOLDS, may be missing
    note : what a reader of the verdict should know, may be missing

Every variant of a claim gets the same grid, chosen on four folds of the training classes by MAP@R; weight decay is part
of it, because losses scale their gradients differently and the same decay drowns one and spares another.
"""

GRID = {'lr': ('1e-4', '1e-3'), 'wd': ('0', '1e-5', '5e-4')}
FOLDS = 4

_PHOTOS = {'backbone': 'mobilenet0.5', 'pretrained': 'WEIGHTS/mobilenet0.5_imagenet.params', 'mean': '0.502',
           'std': '0.502', 'image_size': 128, 'embed_dim': 128, 'batch_size': 64, 'transform': 'embedding_expansion',
           'freeze_trunk': False, 'cache': 'store'}
_FROZEN = {'backbone': 'efficientnet_lite0', 'pretrained': True, 'image_size': 224, 'embed_dim': 128,
           'batch_size': 64, 'transform': 'embedding_expansion', 'freeze_trunk': True}
DATA = {
    'birds': {'data_name': 'cub200_2010', 'data_dir': 'DATA/cub200_2010', **_PHOTOS},
    'cars': {'data_name': 'folder', 'data_dir': 'DATA/cars196_crops', **_PHOTOS},
    'birds_frozen': {'data_name': 'cub200_2010', 'data_dir': 'DATA/cub200_2010', **_FROZEN},
    'cars_frozen': {'data_name': 'folder', 'data_dir': 'DATA/cars196_crops', **_FROZEN},
}
TITLES = {'birds': 'CUB-200 (2010) crops, mobilenet0.5 at 128 px',
          'cars': 'Cars196 crops (half), mobilenet0.5 at 128 px',
          'birds_frozen': 'CUB-200 (2010) crops, head on a frozen EfficientNet-Lite0 at 224 px',
          'cars_frozen': 'Cars196 crops (half), head on a frozen EfficientNet-Lite0 at 224 px'}
SHORT = {'birds': 'birds', 'cars': 'cars', 'birds_frozen': 'birds, frozen trunk', 'cars_frozen': 'cars, frozen trunk'}
SPEEDS = {'birds': 170, 'cars': 170, 'birds_frozen': 16000, 'cars_frozen': 16000}
POINTS = {'birds': 4, 'cars': 4, 'birds_frozen': 5, 'cars_frozen': 5}
_PK8 = '+num_instances=8+sampler=pk_ee'


def _expansion(name, loss, data, updates, runs, points=(0, 2), own=_PK8, flags=None, where='HPHN triplets'):
    return {'name': name, 'paper': 'embedding_expansion', 'data': data, 'updates': updates, 'runs': runs,
            'says': f'{where}: synthetic points between positives raise retrieval (CVPR 2020, tables of the results)',
            'losses': {f'n = {n}': f'{loss}+n_inner_pts={n}{own}' for n in points}, 'better': ('n = 2', 'n = 0'),
            'flags': flags or {}}


_LN = 'heated_softmax+l2_norm+norm_weights'
_BN = 'heated_softmax+bn+norm_weights'


def _heated(name, data, updates, runs, epochs, hot):
    return {'name': name, 'paper': 'heated_up_softmax', 'data': data, 'updates': updates, 'runs': runs,
            'says': 'heating up the temperature at the end raises retrieval (arXiv 1809.04157, table 1)',
            'losses': {'softmax': 'heated_softmax+norm_weights=false+alpha=1', 'BN': f'{_BN}+alpha=16',
                       'HBN': f'{_BN}+alpha=16+heat_up', 'LN': f'{_LN}+alpha=16', 'HLN': f'{_LN}+alpha=16+heat_up'},
            'better': ('HLN', 'LN'), 'flags': {'epochs': epochs, 'nb_hu_epoch': hot}}


# For your own photos: losses whose batches and schedules are alike, with vectors of 512 numbers.
_ALL = {'semi-hard': 'triplet_semihard+num_instances=4', 'margin': 'margin+num_instances=4',
        'HPHN n = 2': f'hphn_triplet+n_inner_pts=2{_PK8}', 'HPHN n = 0': f'hphn_triplet+n_inner_pts=0{_PK8}',
        'LN': f'{_LN}+alpha=16'}
_SAMPLINGS = {'distance-weighted': 'margin+num_instances=4',
              'random': 'margin+num_instances=4+margin_sampling=random',
              'semi-hard': 'margin+num_instances=4+margin_sampling=semihard'}

CLAIMS = [
    _expansion('expansion', 'hphn_triplet', 'birds_frozen', 500, 5, flags={'embed_dim': 512}),
    _expansion('expansion_cars', 'hphn_triplet', 'cars_frozen', 500, 5, flags={'embed_dim': 512}),
    _expansion('expansion_points', 'hphn_triplet', 'birds_frozen', 200, 5, (0, 2, 4, 8), where='HPHN, 200 updates'),
    _expansion('expansion_long', 'hphn_triplet', 'birds_frozen', 2000, 5, where='HPHN, 2,000 updates'),
    dict(_expansion('expansion_photos', 'hphn_triplet', 'birds', 200, 3),
         note='With n = 2 the curve still rises when the 200 updates end. The loss itself is that of the authors: its '
              'recorded values, gradients and thirty training steps are reproduced.'),
    _expansion('expansion_triplet', 'triplet_semihard', 'birds_frozen', 500, 5, where='semi-hard triplets'),
    _expansion('expansion_lifted', 'lifted_structure', 'birds_frozen', 500, 5, where='lifted structure'),
    _expansion('expansion_npair', 'npair', 'birds_frozen', 500, 5, own='', where='N-pair'),
    _expansion('expansion_ms', 'multi_similarity', 'birds_frozen', 500, 5, where='multi-similarity'),
    _heated('heated_up', 'birds_frozen', 500, 5, 16, 5),
    dict(_heated('heated_ln', 'birds_frozen', 500, 5, 16, 5), better=('LN', 'softmax'),
         says='features and class weights of length one (LN) are above a plain softmax (arXiv 1809.04157, table 1)'),
    _heated('heated_up_cars', 'cars_frozen', 500, 5, 11, 4),
    {'name': 'heated_alpha', 'paper': 'heated_up_softmax', 'data': 'birds_frozen', 'updates': 500, 'runs': 5,
     'says': 'a middle temperature is best, and heating it up from 16 to 4 is better than any fixed one (section 3)',
     'losses': {'alpha 4': f'{_LN}+alpha=4', 'alpha 16': f'{_LN}+alpha=16', 'alpha 64': f'{_LN}+alpha=64',
                'heated': f'{_LN}+alpha=16+heat_up'},
     'better': ('heated', 'alpha 16'), 'flags': {'epochs': 16, 'nb_hu_epoch': 5}},
    {'name': 'margin_sampling', 'paper': 'deep_embedding', 'data': 'birds_frozen', 'updates': 500, 'runs': 5,
     'says': 'with margin loss, distance-weighted negatives are above random ones (ICCV 2017, table 1)',
     'losses': dict(_SAMPLINGS), 'better': ('distance-weighted', 'random')},
    {'name': 'margin_semi_hard', 'paper': 'deep_embedding', 'data': 'birds_frozen', 'updates': 500, 'runs': 5,
     'says': 'with margin loss, distance-weighted negatives are above semi-hard ones (ICCV 2017, table 1)',
     'losses': dict(_SAMPLINGS), 'better': ('distance-weighted', 'semi-hard')},
    {'name': 'margin_beta', 'paper': 'deep_embedding', 'data': 'birds_frozen', 'updates': 500, 'runs': 5,
     'says': 'a boundary learned for each class is better than one fixed for all (ICCV 2017, table 1)',
     'losses': {'learned': 'margin+num_instances=4', 'fixed': 'margin+lr_beta=0+num_instances=4'},
     'better': ('learned', 'fixed')},
    {'name': 'margin_against_triplets', 'paper': 'deep_embedding', 'data': 'birds_frozen', 'updates': 500, 'runs': 5,
     'says': 'margin loss with distance-weighted sampling is above semi-hard triplets (ICCV 2017, table 4)',
     'losses': {'margin': 'margin+num_instances=4', 'semi-hard': 'triplet_semihard+num_instances=4',
                'batch-hard': 'triplet_batchhard+num_instances=4', 'N-pair': 'npair'},
     'better': ('margin', 'semi-hard')},
    {'name': 'hdc_depths', 'paper': 'deep_embedding', 'data': 'birds', 'updates': 100, 'runs': 3,
     'grid': {'lr': ('1e-4', '1e-3')}, 'folds': 2,
     'says': 'three depths that train on ever harder pairs are above one depth that trains on all (HDC, ICCV 2017)',
     'losses': {'three, own mining': 'hdc+num_instances=8',
                'three, mining of the depth before': 'hdc+hdc_mining=previous+num_instances=8',
                'one': 'hdc+hdc_ratios=1+num_instances=8'},
     'better': ('three, own mining', 'one'),
     'note': 'The two shallow depths end in heads of three layers that start at random, with a dropout of 0.7: '
             'a hundred updates are few for them. The authors start from weights of BVLC GoogLeNet, not at hand here.'},
    {'name': 'own_photos_birds', 'paper': 'all', 'data': 'birds_frozen', 'updates': 500, 'runs': 5,
     'says': 'for your own photos: margin loss is above semi-hard triplets (ICCV 2017, table 4)',
     'losses': dict(_ALL), 'better': ('margin', 'semi-hard'), 'flags': {'embed_dim': 512}},
    {'name': 'own_photos_cars', 'paper': 'all', 'data': 'cars_frozen', 'updates': 500, 'runs': 5,
     'says': 'for your own photos: margin loss is above semi-hard triplets (ICCV 2017, table 4)',
     'losses': dict(_ALL), 'better': ('margin', 'semi-hard'), 'flags': {'embed_dim': 512}},
    {'name': 'margin_photos', 'paper': 'deep_embedding', 'data': 'cars', 'updates': 600, 'runs': 3, 'folds': 2,
     'says': 'margin loss with distance-weighted sampling is above semi-hard triplets (ICCV 2017, table 4)',
     'losses': {'margin': 'margin+num_instances=4', 'semi-hard': 'triplet_semihard+num_instances=4'},
     'better': ('margin', 'semi-hard')},
    {'name': 'local_sampling', 'paper': 'local_sampling', 'data': 'birds_frozen', 'updates': 500, 'runs': 5,
     'says': 'stochastic symmetric triplets on neighbourhoods are above plain triplets there (Neurocomputing 2020)',
     'losses': {'SST': 'sst', 'triplet': 'triplet_local', 'contrastive': 'contrastive'}, 'better': ('SST', 'triplet')},
    {'name': 'local_neighbourhoods', 'paper': 'local_sampling', 'data': 'birds_frozen', 'updates': 500, 'runs': 5,
     'says': 'batches of k-means neighbourhoods are better than random ones (Neurocomputing 2020)',
     'losses': {'SST, k-means': 'sst', 'SST, random': 'sst+neighbourhoods=random',
                'triplet, k-means': 'triplet_local', 'triplet, random': 'triplet_local+neighbourhoods=random'},
     'better': ('SST, k-means', 'SST, random')},
    {'name': 'local_head', 'paper': 'local_sampling', 'data': 'birds', 'updates': 100, 'runs': 3,
     'grid': {'lr': ('1e-4',)}, 'folds': 2,
     'says': 'a last layer that learns ten times as fast as the trunk is above the fixed one of the program',
     'losses': {'head x10': 'sst+head_lr_mult=10', 'head fixed': 'sst+head_lr_mult=0'},
     'better': ('head x10', 'head fixed')},
]
