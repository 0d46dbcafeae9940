#!/usr/bin/env bash
# Heated-Up Softmax: normalised softmax with a temperature that is raised at the end of training.
#
# Paper   Zhang et al., Heated-Up Softmax Embedding, 2018: Tables 1 to 5 (CARS196, CUB200-2011, SOP, In-shop), Figure 3
# Claim   HBN on CARS196: NMI 68.1, Recall@1/2/4 74.7 83.9 89.8 (Table 5 of the same paper: Recall@1 74.0)
# Cost    80 epochs at 224 px: half an hour (CARS196) to four hours (SOP) a row on one GPU, by assumed speeds
# Rows    all, beginning with cars196/hbn; one: scripts/heated_up_softmax.sh cars196/hbn; figures and cost: --list
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows heated_up_softmax "$@"
