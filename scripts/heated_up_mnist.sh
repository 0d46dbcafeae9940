#!/usr/bin/env bash
# Heated-Up Softmax on MNIST: LeNet with a 2-D bottleneck, and a picture of the embedding every 10 epochs.
#
# Paper   Zhang et al., Heated-Up Softmax Embedding, 2018, Section 3.2 and Figure 3
# Claim   a small alpha (0.25) gives compact but merging classes, a large one (64) arcs that touch their neighbours,
#         16 heated up to 4 compact and separate ones. No accuracy is published.
# Cost    100 epochs: about an hour on 2 cores, minutes on a GPU. A 3-D map: --embed_dim=3
# Other panels of the figure: --heat_up=False with --alpha=0.25, 4, 16, 32 or 64
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec python3 main.py --loss=heated_softmax --l2_norm --norm_weights --alpha=16 --heat_up --nb_hu_epoch=20 \
  --data_name=mnist --prepare=True --backbone=lenet --image_size=28 --embed_dim=2 --transform=mnist \
  --batch_size=128 --optim=adam --epsilon=1e-8 --lr=0.001 --wd=0 --epochs=100 --last_batch=discard --eval_epoch_term=1 --display_step=10 --draw \
  --recallk=1 "$@"
