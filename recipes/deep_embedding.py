"""DeepEmbedding: margin loss, N-pair and the losses that the repository names (the triplet family, HDC)."""

# The program of the margin loss; the repository cites FaceNet and In Defense without implementing them.
MARGIN = {'lr': 1e-4, 'wd': 1e-4, 'optim': 'adam', 'momentum': 0.9, 'batch_size': 70, 'num_instances': 5, 'epochs': 20,
          'image_size': 224, 'embed_dim': 128, 'backbone': 'resnet50_v2', 'lr_schedule': 'multifactor_epoch',
          'lr_decay_epochs': [12, 14, 16, 18], 'lr_decay_factor': 0.5, 'head_lr_mult': 1.0, 'conv_lr_mult': 0.01,
          'transform': 'margin'}

DEFAULTS = {
    'margin': MARGIN,
    'triplet_semihard': MARGIN,
    'triplet_batchhard': MARGIN,
    # ORIGINAL: the learning rate falls to a fifth after every single epoch, so it is spent after about ten.
    'npair': {
        'lr': 1e-3, 'wd': 0.0, 'optim': 'sgd', 'momentum': 0.89, 'batch_size': 32, 'epochs': 800, 'image_size': 227,
        'embed_dim': 512, 'backbone': 'inception_v3', 'lr_schedule': 'multifactor_epoch',
        'lr_decay_epochs': list(range(1, 21)), 'lr_decay_factor': 0.2, 'head_lr_mult': 10.0, 'conv_lr_mult': 1.0,
        'head_init': 'torch_linear', 'transform': 'npair', 'ee_l2norm': False},
    'hdc': {
        # The authors' Cars196 settings: an epoch is one pass over their list of 5,000 batches.
        'lr': 1e-2, 'wd': 2e-4, 'optim': 'sgd', 'momentum': 0.9, 'batch_size': 100, 'num_instances': 10, 'epochs': 4,
        'image_size': 224, 'embed_dim': 384, 'backbone': 'googlenet', 'lr_schedule': 'multifactor_epoch',
        'lr_decay_epochs': [2], 'lr_decay_factor': 0.1, 'head_lr_mult': 10.0, 'conv_lr_mult': 1.0, 'bias_lr_mult': 2.0,
        'bias_wd_mult': 0.0, 'head_init': 'caffe_uniform', 'transform': 'hdc'},
}

CONSTANTS = {
    'margin': {'adam': {'epsilon': 1e-7}},
}

ON_CLASSES, ON_PRODUCTS, ON_SHOP = [1, 2, 4, 8, 16], [1, 10, 100, 1000], [1, 10, 20, 30, 50]
# train_mx_margin.py and the second script's CUB command. ORIGINAL: birds are always cut to their boxes.
MARGIN_PROGRAM = {'loss': 'margin', 'margin': 0.2, 'beta': 1.2, 'lr_beta': 0.1, 'nu': 0.0, **MARGIN, 'pretrained': True,
                  'eval_epoch_term': 1, 'summary_step': 20, 'seed': 123}
CUB_BATCHES = {'sampler': 'blocks', 'blocks': 'cub', 'batch_size': 70, 'num_instances': 5}
CUB_COMMAND = {**MARGIN_PROGRAM, **CUB_BATCHES, 'transform': 'margin_simple', 'crop_box': True, 'epochs': 30,
               'lr_decay_epochs': [12, 16, 20, 24], 'recallk': ON_CLASSES}
SECOND = {**MARGIN_PROGRAM, 'transform': 'margin_simple'}
SOP_COMMAND = {**SECOND, 'sampler': 'blocks', 'batch_size': 80, 'num_instances': 2, 'epochs': 55,
               'recallk': ON_PRODUCTS}
SHOP_COMMAND = {**SECOND, 'sampler': 'blocks', 'batch_size': 100, 'num_instances': 4, 'crop_box': True,
                'recallk': ON_SHOP}
SHOP_SECOND = {'epochs': 40, 'lr_decay_epochs': [14, 16, 20, 30]}
WU, WU_NMI, BOXES = ('comparison table', 'Margin'), ('Tables 3-4 (NMI)', 'Margin'), (
    'Table 5 (bbox)', 'Margin (bounding-box cropped)')
WU_SOP = [('Table 1', 'Margin (pre-trained), sampling: distance weighted, ImageNet pre-trained'), WU_NMI,
          ('README', 'Margin loss + distance weighted sampling')]

MARGIN_ROWS = [
    {'name': 'margin', 'data': 'cub200', 'flags': CUB_COMMAND, 'published': [BOXES],
     'note': "the repository's command: whole squares, no random crops"},
    {'name': 'margin_mxnet', 'data': 'cub200', 'published': [
        BOXES, ('README of the official MXNet example', 'Margin + distance weighted (repo example)')],
     'flags': {**MARGIN_PROGRAM, **CUB_BATCHES, 'crop_box': True, 'recallk': ON_CLASSES},
     'note': "the repository's train_mx_margin.py: random crops"},
    {'name': 'margin_whole', 'data': 'cub200', 'flags': {**CUB_COMMAND, 'transform': 'margin', 'crop_box': False},
     'published': [WU, WU_NMI], 'note': 'as the paper: whole pictures, random crops'},
    {'name': 'margin', 'data': 'cars196', 'flags': {**CUB_COMMAND, 'transform': 'margin', 'crop_box': False},
     'published': [WU, WU_NMI], 'note': "the repository has no Cars196; its CUB command's steps"},
    {'name': 'margin_boxes', 'data': 'cars196', 'flags': {**CUB_COMMAND, 'transform': 'margin'}, 'published': [
        BOXES, ('Papers-with-Code page', 'Margin (second value, listed under Image Retrieval)')]},
    {'name': 'margin', 'data': 'sop', 'flags': {**SOP_COMMAND, 'blocks': 'ebay_in'}, 'published': WU_SOP,
     'note': '--data=EbayInClass: all classes of a batch from one super class'},
    {'name': 'margin_cross', 'data': 'sop', 'flags': {**SOP_COMMAND, 'blocks': 'ebay_cross'}, 'published': WU_SOP,
     'note': '--data=EbayCrossClass'},
    {'name': 'margin_scratch', 'data': 'sop', 'flags': {**SOP_COMMAND, 'blocks': 'ebay_cross', 'pretrained': False},
     'published': [('Table 1', 'Margin, sampling: distance weighted'), *WU_SOP[1:]],
     'note': 'from random weights, as most rows of Table 1'},
    {'name': 'margin', 'data': 'inshop', 'flags': {**SHOP_COMMAND, 'blocks': 'fashion_in'},
     'published': WU_SOP[2:], 'note': '--data=DeepFashionInClass, the run whose network the program embeds with'},
    {'name': 'margin_second', 'data': 'inshop', 'flags': {**SHOP_COMMAND, **SHOP_SECOND, 'blocks': 'fashion_in'},
     'published': WU_SOP[2:], 'note': 'its second run: 40 epochs'},
    {'name': 'margin_cross', 'data': 'inshop', 'flags': {**SHOP_COMMAND, 'blocks': 'fashion_cross'},
     'published': WU_SOP[2:], 'note': '--data=DeepFashionCrossClass, of which no command is published'},
    {'name': 'margin', 'data': 'street2shop', 'flags': {
        **SECOND, **SHOP_SECOND, 'sampler': 'pk', 'batch_size': 100, 'num_instances': 2, 'crop_box': True,
        'recallk': ON_SHOP},
     'note': "street photos searched among shop photos; In-shop's second run, the repository only classifies them"},
]

# train_mc_npair.py and Sohn's Table 2.
NPAIR = {'loss': 'npair', 'n_inner_pts': 0, 'pretrained': True, 'eval_epoch_term': 1}
SOHN = {**NPAIR, 'backbone': 'googlenet', 'batch_size': 120, 'image_size': 224, 'epochs': 60,
        'lr_decay_epochs': [30, 45], 'lr_decay_factor': 0.1}
NPAIR_ROWS = [
    {'name': 'npair_mc', 'data': 'sop', 'published': [('README', 'Multi-class N-pair loss')],
     'flags': {**NPAIR, 'super_share': 0.9, 'summary_step': 40, 'recallk': ON_PRODUCTS},
     'note': "the repository's command; the learning rate falls to a fifth after every epoch"},
    {'name': 'npair_sohn', 'data': 'sop', 'published': [('Table 2', '60-pair-mc')],
     'flags': {**SOHN, 'embed_dim': 512, 'recallk': ON_PRODUCTS}, 'note': 'its learning rates are not published: ours'},
    *({'name': 'npair_sohn', 'data': data, 'published': [('Table 2', '60-pair-mc')],
       'flags': {**SOHN, 'embed_dim': 64, 'recallk': ON_CLASSES}, 'note': 'its learning rates are not published: ours'}
      for data in ('cub200', 'cars196')),
]

# FaceNet and In Defense, with the network of the tables that quote them and the margin program's optimizer.
TRIPLET = {**MARGIN, 'pretrained': True, 'sampler': 'pk', 'n_inner_pts': 0, 'backbone': 'inception_v1',
           'embed_dim': 64, 'conv_lr_mult': 1.0, 'epochs': 60, 'lr_decay_epochs': [30, 45]}
QUOTED = 'Triplet semi-hard (FaceNet mining)'
TRIPLET_DATA = {'cub200': ({'recallk': ON_CLASSES}, [('Table 2', QUOTED)]),
                'cars196': ({'recallk': ON_CLASSES}, [('Table 1', QUOTED)]),
                'sop': ({'num_instances': 2, 'recallk': ON_PRODUCTS}, [('Table 3', QUOTED)]),
                'inshop': ({'num_instances': 2, 'recallk': ON_SHOP}, [])}
TRIPLET_ROWS = [
    row for data, (flags, published) in TRIPLET_DATA.items() for row in (
        {'name': 'triplet_semihard', 'data': data, 'published': published,
         'flags': {**TRIPLET, **flags, 'loss': 'triplet_semihard', 'margin': 0.2},
         'note': 'FaceNet; the figure is quoted by Zhang et al., its settings are not stated: ours'},
        {'name': 'triplet_batchhard', 'data': data,
         'flags': {**TRIPLET, **flags, 'loss': 'triplet_batchhard', 'margin': 'soft'},
         'note': 'In Defense of the Triplet Loss publishes on persons alone: no figure, settings ours'})]

# HDC: script/*/HDC_*.prototxt of the authors; an epoch is one pass over their list of 5,000 batches.
HDC = {'loss': 'hdc', **DEFAULTS['hdc'], 'pretrained': True, 'sampler': 'hdc', 'hdc_mining': 'own',
       'recallk': [1, 2, 4, 8, 16, 32]}
HDC_CUB = {**HDC, 'lr': 1e-4, 'lr_schedule': 'constant', 'epochs': 12, 'hdc_weights': [1.0, 1.0, 2.0]}
HDC_CARS = {**HDC, 'lr': 1e-2, 'epochs': 4, 'lr_decay_epochs': [2], 'lr_decay_factor': 0.1,
            'hdc_weights': [1.0, 2.0, 3.0]}
# About nine passes over groups of 140 images, 60,000 batches in all; x0.96 every 20,000.
HDC_SOP = {**HDC, 'hdc_batches': 'super_classes', 'lr': 1e-2, 'epochs': 9, 'train_iters': 60000,
           'lr_decay_epochs': [3, 6], 'lr_decay_factor': 0.96, 'hdc_weights': [1.0, 1.0, 1.0], 'recallk': ON_PRODUCTS}
QUOTES, RAMBO = 'as cited by bnu-wangxun/Deep_Metric', 'as cited by RaMBO (Rolinek et al., CVPR 2020)'
CUT = ('bbox variant', 'HDC (bounding-box cropped)')
HDC_ROWS = [
    {'name': 'hdc', 'data': 'cub200', 'flags': HDC_CUB, 'published': [(QUOTES, 'HDC')]},
    {'name': 'hdc_boxes', 'data': 'cub200', 'flags': {**HDC_CUB, 'crop_box': True}, 'published': [CUT]},
    {'name': 'hdc', 'data': 'cars196', 'flags': HDC_CARS, 'published': [(QUOTES, 'HDC')]},
    {'name': 'hdc_boxes', 'data': 'cars196', 'flags': {**HDC_CARS, 'crop_box': True}, 'published': [CUT]},
    {'name': 'hdc', 'data': 'sop', 'flags': HDC_SOP, 'published': [(RAMBO, 'HDC')]},
    {'name': 'hdc', 'data': 'inshop', 'published': [(RAMBO, 'HDC')],
     'flags': {**HDC_SOP, 'hdc_batches': 'classes', 'num_instances': 5, 'epochs': 12, 'lr_decay_epochs': [4, 8],
               'recallk': ON_SHOP},
     'note': 'the authors release no settings for In-shop: those of Online Products, 20 classes x 5 images'},
]

# Verification: trained on faces in class folders (CASIA-WebFace, which nobody may redistribute), scored on LFW's pairs.
FACES = {'data_name': 'folder', 'pretrained': True, 'image_size': 224, 'epochs': 20, 'lr_decay_epochs': [10, 14, 18],
         'eval_epoch_term': 5, 'recallk': [1]}
LFW = {'data_name': 'lfw'}
NEEDS_FACES = 'trains on CASIA-WebFace: --data_dir=FOLDER with train/PERSON/ and a few people in test/; settings ours'
FACE_LOSSES = {
    'margin': ({**FACES, 'loss': 'margin', 'embed_dim': 128}, [('Table 7', 'Margin')]),
    'margin_256': ({**FACES, 'loss': 'margin', 'embed_dim': 256}, [('Table 7', 'Margin')]),
    'npair': ({**FACES, 'loss': 'npair', 'n_inner_pts': 0, 'batch_size': 640}, [('Table 3', '320-pair-mc')]),
    'triplet_semihard': ({**FACES, 'loss': 'triplet_semihard', 'n_inner_pts': 0, 'embed_dim': 128},
                         [('abstract', 'FaceNet (extra face alignment)'),
                          ('section 5.6', 'FaceNet, fixed centre crop')]),
}
LFW_ROWS = [
    *({'name': name, 'data': 'lfw', 'flags': flags, 'published': published, 'evaluate': LFW, 'note': NEEDS_FACES}
      for name, (flags, published) in FACE_LOSSES.items()),
    *({'name': name + '_view1', 'data': 'lfw_view1', 'flags': {**flags, 'data_name': 'lfw_view1', 'batch_size': 70},
       'note': "trained on LFW's development people alone: a try-out without other data"}
      for name, (flags, _) in FACE_LOSSES.items() if name != 'margin_256'),
]

ROWS = [*MARGIN_ROWS, *NPAIR_ROWS, *TRIPLET_ROWS, *HDC_ROWS, *LFW_ROWS]
