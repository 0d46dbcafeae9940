#!/usr/bin/env bash
# Stanford Dogs: classification with the ranking regulariser, four modes on three networks.
#
# Paper   Taha et al., WACV 2020, Tables 2 and 5
# Claim   ResNet-50, accuracy: hard 72.7, semi_hard 70.69, center 70.45, vanilla 69.76
# Cost    40,000 updates of 32 images: two hours a row on one GPU (Inception v4: seven)
# Rows    all, beginning with hard; one: bash scripts/dogs.sh hard; --list shows them with figures and cost
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows dogs "$@"
