#!/usr/bin/env bash
# Writes deepcopy functions, CRDs and apply configurations from api/. controller-gen is pinned in
# hack/tools. It takes about half a minute the first time, then seconds.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

gen() { go tool -modfile=hack/tools/go.mod controller-gen "$@"; }

# CRDs of kinds that are no more would stay behind.
rm -f config/crd/bases/power.counterweight.dev_*.yaml
gen object:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1
gen crd paths=./api/v1alpha1 output:crd:dir=config/crd/bases
gen applyconfiguration:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1
