#!/usr/bin/env bash
# Plays test/e2e on a real node: kubelet and containerd, with a control plane, on this machine. It needs root and a
# Debian-like system; where E2E_KUBECONFIG names a cluster, it plays there and needs neither. `hack/e2e.sh images` builds
# the images alone, into bin/images.
#
# The node lives in namespaces of its own for processes, mounts and the network. When its first process ends, however
# that comes about, the kernel ends every other and takes down mounts, interfaces and packet filters.
set -euo pipefail
cd "$(dirname "$0")/.."
export E2E_VERSION=${VERSION:-0.1.0}
run=(-test.v -test.timeout "${E2E_TIMEOUT:-40m}" ${E2E_RUN:+-test.run "$E2E_RUN"})

inside() { # in the namespaces: what a node needs of a machine
	[ $$ = 1 ] || { echo "e2e: not in namespaces of its own" >&2; exit 1; }
	local dir code=0
	mount --make-rshared /
	mount -t tmpfs tmpfs /run
	for dir in /var/lib/cni /var/lib/kubelet /var/log/pods /var/log/containers; do
		mkdir -p "$E2E_WORK/dirs$dir"
		[ -d "$dir" ] || { mkdir -p "$dir" && echo "$dir" >>"$E2E_WORK/made"; }
		mount --bind "$E2E_WORK/dirs$dir" "$dir"
	done
	ip link set lo up
	ip link add cw0 type bridge
	ip address add 10.201.0.1/24 dev cw0
	ip link set cw0 up
	ip route add default dev cw0            # pods' packets have somewhere to go; nothing leaves
	ip route add local 198.18.0.0/24 dev lo # the miners' addresses
	sysctl -qw net.ipv4.ip_forward=1
	cd test/e2e
	"$E2E_WORK/e2e.test" "${run[@]}" & # not in this shell's place: as the first process, it reaps orphans
	wait $! || code=$?
	exit $code
}

packages() { # those that are missing
	local pair missing=()
	for pair in containerd:containerd runc:runc iptables:iptables buildah:buildah ip:iproute2 unshare:util-linux; do
		command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
	done
	[ -x /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "e2e: installing ${missing[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

images() { # those of the product, and one for what only waits
	local tag=$E2E_IMAGES/pause:$E2E_VERSION archive
	archive=bin/images/pause-$E2E_VERSION-$(go env GOARCH).tar
	IMAGE=$E2E_IMAGES VERSION=$E2E_VERSION hack/image.sh
	mkdir "$E2E_WORK/pause"
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$E2E_WORK/pause/pause" ./test/e2e/pause
	printf 'FROM scratch\nCOPY pause /pause\nUSER 65532:65532\nENTRYPOINT ["/pause"]\n' >"$E2E_WORK/pause/Dockerfile"
	export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} # works everywhere
	buildah bud --quiet --isolation chroot -t "$tag" "$E2E_WORK/pause" >/dev/null
	rm -f "$archive"
	buildah push --quiet "$tag" "oci-archive:$archive:$tag"
}

# What a kubelet sets for the whole machine is set back.
settings=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)
before=()

cleanup() {
	local s group
	for s in "${before[@]}"; do sysctl -qw "$s" || true; done
	for group in $(find /sys/fs/cgroup -maxdepth 2 -type d -name "${E2E_CGROUP:-none}"); do
		find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
	[ ! -f "$E2E_WORK/made" ] || xargs -r rmdir <"$E2E_WORK/made" || true
	if [ -n "${E2E_KEEP_LOGS:-}" ]; then
		mkdir -p "$E2E_KEEP_LOGS"
		cp -r "$E2E_WORK/cluster/logs/." "$E2E_WORK/dirs/var/log/pods" "$E2E_KEEP_LOGS" 2>/dev/null || true
	fi
	rm -rf "$E2E_WORK"
}

node() {
	local s group
	for s in "${settings[@]}"; do before+=("$s=$(sysctl -n "$s")"); done
	export E2E_CGROUP=counterweight-e2e-$$ E2E_OUTSIDE=$$
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		mkdir "/sys/fs/cgroup/$E2E_CGROUP"
	else
		for group in /sys/fs/cgroup/*/; do mkdir "$group$E2E_CGROUP" 2>/dev/null || true; done
	fi
	unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private "$BASH" hack/e2e.sh inside
}

main() {
	E2E_WORK=$(mktemp -d)
	export E2E_WORK
	trap cleanup EXIT
	# A trap waits for what runs in front: cleaning up at once would pull the ground from under the test's own.
	trap 'exit 129' HUP
	trap 'exit 143' TERM
	if [ -z "${E2E_KUBECONFIG:-}" ]; then
		[ "$(id -u)" = 0 ] || { echo "e2e: a node takes root: run it as root, or name a cluster with E2E_KUBECONFIG" >&2; exit 1; }
		export E2E_IMAGES=${E2E_IMAGES:-localhost/counterweight}
		packages
		images
		[ "${1:-}" != images ] || exit 0
		CGO_ENABLED=0 go build -o "$E2E_WORK/asic-sim" ./cmd/asic-sim
	fi
	echo "e2e: building the test"
	CGO_ENABLED=0 go test -c -tags e2e -o "$E2E_WORK/e2e.test" ./test/e2e
	if [ -z "${E2E_KUBECONFIG:-}" ]; then
		node
	else
		(cd test/e2e && "$E2E_WORK/e2e.test" "${run[@]}")
	fi
}

# Known as a whole before any of it runs.
if [ "${1:-}" = inside ]; then inside; else main "$@"; fi
