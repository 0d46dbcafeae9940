#!/usr/bin/env bash
# In-shop Clothes Retrieval (DeepFashion), queries in a gallery.
#
# Paper   Zhang et al. 2018, Table 4; Wu et al. 2017; Yuan et al. 2017
# Claim   HBN: Recall@1/10/20/30 81.1 94.2 95.9 96.9
# Cost    two to six hours a row on one GPU, by assumed speeds
# Rows    all, beginning with hbn; one: bash scripts/inshop.sh hbn; --list shows them with figures and cost
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows inshop "$@"
