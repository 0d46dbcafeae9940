"""The command lines of the five original programs reach the settings of the rows that they made."""

import pytest

import recipes
from commands import cli, row_tables
from models.registry import canonical

ROWS = {f'{row.data}/{row.name}': row for row in recipes.rows()}
# What is scored and saved is not what is trained; when it is scored counts where the original scores while it trains.
NOT_TRAINING = {'recallk', 'nmi', 'save_epoch_term'}
SAME = {'cntr': 'center'}

README = '--from=embedding_expansion main.py --lr_decay_epochs=400,800,1200,1600 --epochs=4000 --eval_epoch_term=5 '
INCEPTION = 'deep_metric_learning_Inception.py --normed_test --data_augment --nb_epoch 80 '
LENET = 'metric_learning_lenet.py --nb_epoch 100 --l2_norm --norm_weights --learning_rate .001 --draw '
SGD = '--optimizer SGD --learning_rate 0.004 '
ADAM = '--optimizer ADAM --learning_rate 0.01 --better_init --fast_kmeans '
VARIANTS = {
    'softmax': '--alpha 1', 'label_smoothing': '--alpha 1 --label_smoothing',
    'bn': '--bn --norm_weights --alpha 16', 'hbn': '--bn --norm_weights --alpha 16 --heat_up --nb_hu_epoch 20',
    'ln': '--l2_norm --norm_weights --alpha 16',
    'hln': '--l2_norm --norm_weights --alpha 16 --heat_up --nb_hu_epoch 20',
}
EBAY = 'train_mx_ebay_margin.py --use_pretrained --use_viz '
SHOP = '--batch-k=4 --batch-size=100 '
RANKING = 'fast_fgvr_semi_train.py --aug_style img --learning_rate 0.01 --logging_threshold 500 --caffe_iter_size 1 '
JOBS = '--from=local_sampling train.py -a bninception -n_targets 5 --outdim 512 -b 200 --lr 1e-4 '

LINES = {
    'cars196/ee_hphn': README + '--n_inner_pts=2 --ee_l2norm=True',
    'cars196/hphn': README + '--n_inner_pts=0',
    **{f'{data}/{name}': INCEPTION + f'--dataset {theirs} {optimizer}{flags}' for name, flags in VARIANTS.items()
       for data, theirs, optimizer in (('cars196', 'car196', SGD), ('cub200', 'bird200', SGD), ('sop', 'ebay', ADAM))},
    'mnist/map_heated': LENET + '--alpha 16 --heat_up --nb_hu_epoch 20',
    **{f'mnist/map_{alpha}': LENET + f'--alpha {alpha}' for alpha in ('0.25', '4', '16', '32', '64')},
    'cub200/margin': EBAY + '--data=CUB_200_2011 --batch-k=5 --batch-size=70 --epochs=30 --steps=12,16,20,24',
    'cub200/margin_mxnet': 'train_mx_margin.py --use_pretrained',
    'sop/margin': EBAY + '--data=EbayInClass --batch-k=2 --batch-size=80 --epochs=55',
    'sop/margin_cross': EBAY + '--data=EbayCrossClass --batch-k=2 --batch-size=80 --epochs=55',
    'inshop/margin': EBAY + '--data=DeepFashionInClass ' + SHOP,
    'inshop/margin_second': EBAY + '--data=DeepFashionInClass --epochs=40 --steps=14,16,20,30 ' + SHOP,
    'inshop/margin_cross': EBAY + '--data=DeepFashionCrossClass ' + SHOP,
    'sop/npair_mc': 'train_mc_npair.py train',
    **{f'{data}/{name}{ending}': RANKING + f'--db_name {theirs} --net {net} --train_iters {updates} --train_mode {mode}'
       for data, theirs in (('aircraft', 'aircrafts'), ('flowers102', 'flowers'), ('stanford_cars', 'cars'),
                            ('dogs', 'dogs'), ('nabirds', 'birds'))
       for net, ending, updates in (('resnet50', '', 40000), ('inc4', '_inception_v4', 80000),
                                    ('densenet161', '_densenet161', 40000))
       for name, mode in (('hard', 'hard --margin soft'), ('semi_hard', 'semi_hard --margin 0.2'),
                          ('center_still', 'cntr'), ('vanilla', 'vanilla'))},
    **{f'{data}/{name}': JOBS + f'--data {theirs} --epochs {epochs} --loss {loss}'
       for data, theirs, epochs in (('cub200', 'Cub', 150), ('cars196', 'Car', 200), ('sop', 'Stanford', 200))
       for name, loss in (('sst', 'SSTLoss'), ('triplet_local', 'TripletLoss'), ('contrastive', 'ContrastiveLoss'))},
    'sop/triplet_local': JOBS + '--data Stanford --epochs 150 --loss TripletLoss',    # jobs.sh as it stands
}
# Published commands that are a row but for these flags.
NEAR = {
    'the program that starts the ranking one': ('aircraft/semi_hard', [], '--from=ranking_regularizer main.py'),
    'Car with the defaults of deepml': ('cars196/sst', ['--batch_size=256', '--epochs=150'],
                                        '--from=local_sampling train.py --data Car'),
    'Inception with its defaults': (
        'cars196/softmax', ['--optim=rmsprop', '--lr=1e-4', '--epochs=60', '--transform=heated_up_center',
                            '--sampler=sequential'], 'deep_metric_learning_Inception.py'),
}


def settings(args):
    """What is trained, in one spelling."""
    found = {key: SAME.get(str(value), value) for key, value in vars(args).items() if key not in NOT_TRAINING}
    if args.loss in recipes.local_sampling.DEFAULTS:    # that original scores nothing while it trains
        del found['eval_epoch_term']
    return dict(found, backbone=canonical(args.backbone))


@pytest.mark.parametrize('name', sorted(LINES))
def test_an_originals_command_line_has_the_settings_of_its_row(name, capsys):
    command, args = cli.parse(LINES[name].split())
    assert command == 'train'
    assert settings(args) == settings(row_tables.resolved(ROWS[name]))


@pytest.mark.parametrize('name', sorted(NEAR))
def test_a_command_line_with_other_settings_than_a_row_differs_in_them_alone(name, capsys):
    row, flags, line = NEAR[name]
    assert settings(cli.parse(line.split())[1]) == settings(row_tables.resolved(ROWS[row], flags))


def test_all_five_systems_have_lines():
    assert {ROWS[name].paper for name in LINES} == set(recipes.PAPERS) and len(LINES) == 103
