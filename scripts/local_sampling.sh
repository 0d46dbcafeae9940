#!/usr/bin/env bash
# Local Sampling: stochastic symmetric triplet loss on k-means neighbourhoods of the current embedding, SOP.
#
# Paper   Nguyen and De Baets, Improved deep embedding learning based on stochastic symmetric triplet loss and local
#         sampling, Neurocomputing 2020
# Claim   none that could be checked: its result tables were not available to us. The settings are those of the
#         authors' program (jobs.sh with its default loss).
# Cost    150 epochs of 59,551 images at 224 px, embedded once more each epoch: days on one GPU.
# Others  --loss=triplet_local, --loss=contrastive; --data_name=cub200 or cars196
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec python3 main.py --loss=sst --sampler=local --n_targets=5 --recluster=1 \
  --data_name=sop --prepare=True --backbone=inception_bn --pretrained=True --image_size=224 --embed_dim=512 \
  --transform=local_sampling --batch_size=200 --optim=adam --lr=1e-4 --wd=1e-4 --head_lr_mult=10 \
  --lr_schedule=plateau --lr_decay_factor=0.5 --patience=5 --early_stopping=15 --epochs=150 \
  --eval_epoch_term=5 --recallk=1,10,100,1000 "$@"
