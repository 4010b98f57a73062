#!/usr/bin/env bash
# Checks the wire format and writes its Go code. Every tool is a Go module pinned in hack/prototools.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/bin/prototools

mkdir -p "$bin"
(cd "$root/hack/prototools" && GOBIN=$bin go install tool)

cd "$root"
export PATH=$bin:$PATH
config=hack/prototools/buf.yaml
buf lint --config "$config"
buf generate --config "$config" --template hack/prototools/buf.gen.yaml
