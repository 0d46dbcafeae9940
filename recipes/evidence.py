"""Evidence: each paper's claim as a fair comparison on photographs that fit a CPU. Nothing but data.

DATA : {name: flags}: data sets and trunks; DATA/ and WEIGHTS/ stand for --data_root and --weights_root
SPEEDS : {name: images a second of training on 2 cores}, for what a claim will cost
CLAIMS : list of dicts:
    name, paper : of the claim
    says : what the paper says, in one sentence
    data : name in DATA
    updates, runs : of every training, seeds
    losses : {label: what `compare --losses` takes}
    better : (label, label): the first should be above the second if the claim holds
    flags : {flag: value} for all its trainings, may be missing

Every variant of a claim gets the same grid, chosen on four folds of the training classes by MAP@R; weight decay is part
of it, because losses scale their gradients differently and the same decay drowns one and spares another.
"""

GRID = {'lr': ('1e-4', '1e-3'), 'wd': ('0', '1e-5', '5e-4')}
FOLDS = 4

_PHOTOS = {'backbone': 'mobilenet0.5', 'pretrained': 'WEIGHTS/mobilenet0.5_imagenet.params', 'mean': '0.502',
           'std': '0.502', 'image_size': 128, 'embed_dim': 128, 'batch_size': 64, 'transform': 'embedding_expansion'}
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
SPEEDS = {'birds': 300, 'cars': 300, 'birds_frozen': 8000, 'cars_frozen': 8000}


def _expansion(name, loss, data, updates, runs, points=(0, 2), **own):
    flags = ''.join(f'+{key}={value}' for key, value in own.items())
    return {'name': name, 'paper': 'embedding_expansion', 'data': data, 'updates': updates, 'runs': runs,
            'says': 'synthetic points between positives raise retrieval (CVPR 2020, tables of the results)',
            'losses': {f'n = {n}': f'{loss}+n_inner_pts={n}{flags}' for n in points}, 'better': ('n = 2', 'n = 0')}


def _heated(name, data, updates, runs, epochs, hot):
    variants = {'softmax': '+norm_weights=false+alpha=1', 'BN': '+bn+norm_weights+alpha=16',
                'HBN': '+bn+norm_weights+alpha=16+heat_up', 'LN': '+l2_norm+norm_weights+alpha=16',
                'HLN': '+l2_norm+norm_weights+alpha=16+heat_up'}
    return {'name': name, 'paper': 'heated_up_softmax', 'data': data, 'updates': updates, 'runs': runs,
            'says': 'heating up the temperature at the end raises retrieval (arXiv 1809.04157, table 1)',
            'losses': {label: f'heated_softmax{flags}' for label, flags in variants.items()}, 'better': ('HLN', 'LN'),
            'flags': {'epochs': epochs, 'nb_hu_epoch': hot}}


CLAIMS = [
    _expansion('expansion', 'hphn_triplet', 'birds_frozen', 500, 5, (0, 2, 4, 8), num_instances=8, sampler='pk_ee'),
    _expansion('expansion_cars', 'hphn_triplet', 'cars_frozen', 500, 5, (0, 2, 4, 8), num_instances=8, sampler='pk_ee'),
    _expansion('expansion_photos', 'hphn_triplet', 'birds', 200, 3, num_instances=8, sampler='pk_ee'),
    _expansion('expansion_long', 'hphn_triplet', 'birds', 2000, 3, num_instances=8, sampler='pk_ee'),
    _expansion('expansion_triplet', 'triplet_semihard', 'birds_frozen', 500, 5, num_instances=8, sampler='pk_ee'),
    _expansion('expansion_lifted', 'lifted_structure', 'birds_frozen', 500, 5, num_instances=8, sampler='pk_ee'),
    _expansion('expansion_npair', 'npair', 'birds_frozen', 500, 5),
    _expansion('expansion_ms', 'multi_similarity', 'birds_frozen', 500, 5, num_instances=8, sampler='pk_ee'),
    _heated('heated_up', 'birds_frozen', 500, 5, 16, 5),
    _heated('heated_up_cars', 'cars_frozen', 500, 5, 11, 4),
    {'name': 'margin_beta', 'paper': 'deep_embedding', 'data': 'birds_frozen', 'updates': 500, 'runs': 5,
     'says': 'a boundary learned for each class is better than one fixed for all (ICCV 2017, table 1)',
     'losses': {'learned': 'margin+num_instances=4', 'fixed': 'margin+lr_beta=0+num_instances=4'},
     'better': ('learned', 'fixed')},
    {'name': 'margin_against_triplets', 'paper': 'deep_embedding', 'data': 'birds_frozen', 'updates': 500, 'runs': 5,
     'says': 'margin loss with distance-weighted sampling is above semi-hard triplets (ICCV 2017, table 4)',
     'losses': {'margin': 'margin+num_instances=4', 'semi-hard': 'triplet_semihard+num_instances=4',
                'batch-hard': 'triplet_batchhard+num_instances=4', 'N-pair': 'npair'},
     'better': ('margin', 'semi-hard')},
    {'name': 'margin_photos', 'paper': 'deep_embedding', 'data': 'cars', 'updates': 600, 'runs': 3,
     'says': 'margin loss with distance-weighted sampling is above semi-hard triplets (ICCV 2017, table 4)',
     'losses': {'margin': 'margin+num_instances=4', 'semi-hard': 'triplet_semihard+num_instances=4'},
     'better': ('margin', 'semi-hard')},
    {'name': 'local_sampling', 'paper': 'local_sampling', 'data': 'birds_frozen', 'updates': 500, 'runs': 5,
     'says': 'stochastic symmetric triplets on neighbourhoods are above plain triplets there (Neurocomputing 2020)',
     'losses': {'SST': 'sst', 'triplet': 'triplet_local', 'contrastive': 'contrastive'}, 'better': ('SST', 'triplet')},
]
