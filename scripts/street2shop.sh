#!/usr/bin/env bash
# Street2Shop: street photos searched among the photos of shops.
#
# Paper   margin loss: Wu et al. 2017; data: Hadi Kiapour et al. 2015
# Claim   none known to us; the settings are those of In-shop
# Cost    hours on one GPU
# Rows    all, beginning with margin; one: bash scripts/street2shop.sh margin; --list shows them with figures and cost
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows street2shop "$@"
