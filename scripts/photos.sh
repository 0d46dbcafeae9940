#!/usr/bin/env bash
# Train on your own photos, one sub-folder a class:  bash scripts/photos.sh --data_dir=photos
#
# Paper   Embedding Expansion's loss and batches, on a small network with settings of our own
# Claim   ours, on the crops of CUB-200 (2010): the first line of results in README.md
# Cost    about two minutes for 3,000 photos on 2 CPU cores
# Note    --pretrained=True fetches ImageNet weights; a larger network: --backbone=resnet50_v2 --image_size=224
#         Without folders train and test (or a CSV), the first half of the classes trains and the others are searched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec python3 main.py --loss=hphn_triplet --n_inner_pts=2 \
  --data_name=folder --backbone=mobilenet0.5 --pretrained=True --image_size=128 --embed_dim=512 \
  --batch_size=128 --sampler=pk_ee --num_instances=32 --optim=adam --lr=3e-4 --wd=5e-4 \
  --lr_schedule=multifactor_epoch --lr_decay_epochs=5,7 --lr_decay_factor=0.2 --epochs=8 \
  --eval_epoch_term=2 --baselines "$@"
