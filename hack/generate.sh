#!/usr/bin/env bash
# Writes deepcopy functions, CRDs and apply configurations from api/. controller-gen is pinned in
# hack/tools. It takes about half a minute the first time, then seconds.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

gen() { go tool -modfile=hack/tools/go.mod controller-gen "$@"; }
crds=$(mktemp -d)
trap 'rm -rf "$crds"' EXIT

gen object:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1
gen crd paths=./api/v1alpha1 output:crd:dir="$crds"
mkdir -p config/crd/bases
# Files of kinds that are no more go.
rm -f config/crd/bases/*.yaml
cp "$crds"/*.yaml config/crd/bases/
rm -rf api/v1alpha1/applyconfiguration
gen applyconfiguration:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1
