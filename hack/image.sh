#!/usr/bin/env bash
# Builds the images of the Dockerfile with buildah, without a registry: the binaries come from this machine's Go,
# and stand in for the stage `build`. One OCI archive for each image and architecture goes to bin/images.
#   PLATFORMS="linux/amd64 linux/arm64" VERSION=0.1.0 IMAGE=counterweight hack/image.sh
# It needs buildah (Debian: apt-get install buildah), no root where user namespaces are allowed, and no daemon.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${VERSION:-0.1.0} name=${IMAGE:-counterweight}
read -ra platforms <<<"${PLATFORMS:-linux/$(go env GOARCH)}"
certificates=${CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}
images=(operator miner-agent asic-sim)
out=$PWD/bin/images
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} # works everywhere

command -v buildah >/dev/null || { echo "image: buildah is not there: apt-get install buildah, or docker build --target operator ." >&2; exit 1; }
[ -s "$certificates" ] || { echo "image: no CA certificates in $certificates: apt-get install ca-certificates, or set CERTIFICATES" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/empty"

binaries() { # architecture: what the stage `build` leaves in /out
	local into=$work/$1/out
	mkdir -p "$into/base/etc/ssl/certs"
	CGO_ENABLED=0 GOOS=linux GOARCH=$1 go build -trimpath -ldflags "-s -w" -o "$into/" ./cmd/operator ./cmd/miner-agent ./cmd/asic-sim
	cp "$certificates" "$into/base/etc/ssl/certs/ca-certificates.crt"
	echo 'nonroot:x:65532:65532::/:/none' >"$into/base/etc/passwd"
	echo 'nonroot:x:65532:' >"$into/base/etc/group"
	find "$work/$1" -exec touch --date=@0 {} + # the same files make the same layers
	chmod -R u=rwX,go=rX "$work/$1"
}

for platform in "${platforms[@]}"; do
	arch=${platform#linux/}
	echo "image: binaries for $platform"
	binaries "$arch"
	for image in "${images[@]}"; do
		tag=$name/$image:$version archive=$out/$image-$version-$arch.tar
		buildah bud --quiet --isolation chroot --platform "$platform" --timestamp 0 --target "$image" \
			--build-context "build=$work/$arch" -f Dockerfile -t "$tag" "$work/empty" >/dev/null
		rm -f "$archive"
		buildah push --quiet "$tag" "oci-archive:$archive:$tag"
		echo "image: $archive ($(du -h "$archive" | cut -f1))"
	done
done
