"""Evidence: the ranking regulariser's modes, classification of photographs of trained classes. Nothing but data.

With a frozen trunk the classifier and the embedding of the two-head network share no weight that is trained, so that no
ranking term could change the accuracy: here the last convolution of the trunk is trained on maps that are kept.

SAYS : the claim in one sentence
FLAGS : of every training
MODES : {name: flags}, the reference first
LAMBDAS : weights of the ranking term that are tried with SWEEP beside its own
GRID : {flag: values}: settings that every variant is chosen from, by accuracy on a part of the training photos
CLASSES, VALIDATION : so many classes, the first by name; that share of the training photos chooses
SHARE, LEAST : the last class of the imbalanced subset keeps that share of its photos, those between a geometric one
    in a random order of the classes, LEAST at least
SUBSETS, UPDATES, SEEDS, SECONDS : of one training on one core, about
"""

from recipes import ranking_regularizer

SAYS = ('a ranking term beside softmax raises the accuracy of fine-grained classification, hard triplets most, '
        'and more so where classes are imbalanced (WACV 2020, table 2)')
FLAGS = {'loss': 'softmax_ranking', 'backbone': 'efficientnet_lite0', 'pretrained': True, 'image_size': 128,
         'freeze_blocks': 17, 'embed_dim': 128, 'batch_size': 32, 'transform': 'ranking_batch', 'optim': 'sgd',
         'lr_schedule': 'poly', 'recallk': [1], 'num_workers': 0}
MODES = {'vanilla': ranking_regularizer.MODES['vanilla'][0], 'center': ranking_regularizer.MODES['center'][0],
         'semi-hard': ranking_regularizer.MODES['semi_hard'][0], 'hard': ranking_regularizer.MODES['hard'][0]}
SWEEP, LAMBDAS = 'hard', (0.25, 4)
GRID = {'lr': ('0.003', '0.01'), 'wd': ('0', '5e-4')}
CLASSES, VALIDATION = 50, 0.25
SHARE, LEAST = 0.1, 4
SUBSETS, UPDATES, SEEDS, SECONDS = ('balanced', 'imbalanced'), 200, 10, 9
TITLE = f'CUB-200 (2010) crops, {CLASSES} classes, last convolution of EfficientNet-Lite0 at 128 px'
