#!/usr/bin/env bash
# Local Sampling: stochastic symmetric triplet, triplet and contrastive loss on k-means neighbourhoods of the embedding.
#
# Paper   Nguyen and De Baets, Improved deep embedding learning based on stochastic symmetric triplet loss and local
#         sampling, Neurocomputing 2020
# Claim   none that could be checked: its result tables were not available to us. The settings are those of the
#         authors' program: the last layer is never trained (--head_lr_mult=0); what they meant is the row sst_head10.
# Cost    150 to 200 epochs at 224 px, the training set embedded once more each epoch: 1 (CUB) to 13 (SOP) GPU-hours
# Rows    all, beginning with sop/sst; one: bash scripts/local_sampling.sh sop/sst; --list shows them with figures and cost
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows local_sampling "$@"
