# `make` alone lists what there is. Everything a target needs comes from Go modules or is already in
# the tree; a fresh machine needs Go 1.26, git, make and bash.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# One setting for builds, tests and lint, so that they share Go's build cache. The race detector needs cgo.
export CGO_ENABLED ?= $(if $(RACE),1,0)
export KUBEBUILDER_ASSETS ?= $(CURDIR)/bin/k8s

PKGS ?= ./...
TESTFLAGS ?=
TEST_TIMEOUT ?= 30m
SCENARIO ?= test/scenarios/mullet-day.yaml
REHEARSEFLAGS ?=
FUZZTIME ?= 20000x
KUBECTL ?= kubectl
IMAGE ?= counterweight
VERSION ?= 0.1.0
PLATFORMS ?=

##@ Start here

.PHONY: help
help: ## List the targets (default).
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: build controlplane ## Play one day at a 4 MW site; report and picture in bin/demo (3 min, plus building).
	bin/rehearse test/scenarios/mullet-day.yaml --report-dir bin/demo $(REHEARSEFLAGS)

.PHONY: rehearse
rehearse: build controlplane ## Play SCENARIO=file.yaml; REHEARSEFLAGS=--keep leaves it running to look around.
	bin/rehearse $(SCENARIO) $(REHEARSEFLAGS)

.PHONY: rehearse-faults
rehearse-faults: build controlplane ## Play test/scenarios/faults-*.yaml, a line each; reports in bin/faults (9 min).
	@bin/rehearse each --at-once 3 --report-dir bin/faults test/scenarios/faults-*.yaml

##@ Build

.PHONY: build
build: ## Build bin/operator, bin/miner-agent, bin/asic-sim and bin/rehearse.
	@echo "build: operator, miner-agent, asic-sim, rehearse (cold some minutes, then seconds)"
	@mkdir -p bin
	@go build -o bin/ ./cmd/operator ./cmd/miner-agent ./cmd/asic-sim ./cmd/rehearse

.PHONY: controlplane
controlplane: ## Build etcd, kube-apiserver and friends, kubectl and kwok into bin/k8s (cold about 8 min).
	@hack/controlplane/build.sh

.PHONY: image
image: ## Build the images with buildah, from scratch, into bin/images (PLATFORMS="linux/amd64 linux/arm64" VERSION=).
	@IMAGE=$(IMAGE) VERSION=$(VERSION) PLATFORMS="$(PLATFORMS)" hack/image.sh

.PHONY: clean
clean: ## Remove bin/ and dist/ (the control plane too; it takes minutes to build again).
	rm -rf bin dist

##@ Check

.PHONY: test
test: controlplane bin/tools/helm ## Unit, CEL and controller suites on a real API server (PKGS=./internal/fit TESTFLAGS=-v RACE=1).
	@echo "test: $(PKGS)"
	@go test $(if $(RACE),-race) -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $(PKGS)

.PHONY: helm-test
helm-test: controlplane bin/tools/helm bin/tools/helm-unittest ## The chart: lint, unit tests, and its life on a real API server (2 min).
	@bin/tools/helm lint --strict --quiet charts/counterweight
	@bin/tools/helm-unittest --strict charts/counterweight
	@go test -count=1 $(TESTFLAGS) ./test/chart

.PHONY: e2e
e2e: bin/tools/helm ## A site on a real node: chart, images, agents, accelerator pods (root; or E2E_KUBECONFIG=; docs/e2e.md; 15 min).
	@$(if $(E2E_KUBECONFIG),hack/controlplane/build.sh,hack/controlplane/build.sh node)
	@VERSION=$(VERSION) hack/e2e.sh

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME=20000x inputs each.
	@hack/fuzz.sh $(FUZZTIME)

.PHONY: lint
lint: bin/tools/golangci-lint ## golangci-lint, with the Kubernetes API linter on api/ (PKGS=./internal/fit/...).
	@echo "lint: $(PKGS) (usually 1-3 min the first time)"
	@bin/tools/golangci-lint run $(PKGS)

.PHONY: generate
generate: ## Write deepcopy, CRDs, apply configurations, protobuf code, admission policies, API reference and tables of metrics anew.
	@echo "generate: deepcopy, CRDs, apply configurations"
	@hack/generate.sh
	@echo "generate: protobuf (the first time it builds buf, some minutes)"
	@hack/generate-proto.sh
	@echo "generate: API reference"
	@go run ./hack/gen-api
	@echo "generate: admission policies"
	@go run ./hack/gen-policy
	@echo "generate: tables of metrics, alert rules"
	@go run ./hack/gen-metrics

.PHONY: verify
verify: ## What a change must pass besides the tests: generated files, lint, sizes, links.
	@hack/verify.sh

.PHONY: alerts
alerts: bin/tools/promtool ## Check the alert rules and play a test of each (promtool).
	@bin/tools/promtool check rules --lint=all charts/counterweight/files/rules/counterweight.yaml
	@bin/tools/promtool test rules test/alerts/*.yaml

# Without the service discoveries of clouds, which checking rules needs none of.
bin/tools/promtool: hack/promtool/go.mod hack/promtool/go.sum
	@echo "alerts: building promtool (usually 2-3 min)"
	@mkdir -p bin/tools
	@cd hack/promtool && CGO_ENABLED=0 go build -mod=readonly -tags remove_all_sd -trimpath -ldflags "-s -w" -o "$(CURDIR)/$@" github.com/prometheus/prometheus/cmd/promtool
	@touch $@

# The linter is a module of its own; it is built again only when its pins change.
bin/tools/golangci-lint: hack/lint/go.mod hack/lint/go.sum
	@echo "lint: building golangci-lint with kube-api-linter (usually 2-3 min)"
	@mkdir -p bin/tools
	@cd hack/lint && go build -mod=readonly -trimpath -ldflags "-s -w" -o "$(CURDIR)/$@" sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter
	@touch $@

# Helm and its unit tests are a module of their own, too.
bin/tools/helm: hack/helm/go.mod hack/helm/go.sum
	@echo "helm: building helm (usually 3 min)"
	@mkdir -p bin/tools
	@cd hack/helm && go build -mod=readonly -trimpath -ldflags "-s -w" -o "$(CURDIR)/$@" helm.sh/helm/v4/cmd/helm
	@touch $@

bin/tools/helm-unittest: hack/helm/go.mod hack/helm/go.sum
	@echo "helm: building helm-unittest (usually 1 min)"
	@mkdir -p bin/tools
	@cd hack/helm && go build -mod=readonly -trimpath -ldflags "-s -w" -o "$(CURDIR)/$@" github.com/helm-unittest/helm-unittest/cmd/helm-unittest
	@touch $@

##@ Measure

.PHONY: bench
bench: build controlplane ## Every performance target, measured; bin/bench/report.json (BENCH=decide for one part; 25 min).
	@go run ./test/perf -bin bin -report bin/bench/report.json $(if $(BENCH),-only $(BENCH))

##@ A cluster of your own (Kubernetes 1.36 or newer, KUBECTL=...)

.PHONY: install
install: ## Install the CRDs alone into the current kubectl context.
	$(KUBECTL) apply --server-side -k config/crd

.PHONY: deploy
deploy: ## Install everything (CRDs, RBAC, admission policies, operator) into the current kubectl context.
	$(KUBECTL) apply --server-side -k config/default

.PHONY: uninstall
uninstall: ## Remove everything, budgets too: the objects first, while the operator is there to let go of them; then gates.
	$(KUBECTL) delete --ignore-not-found --all --all-namespaces --timeout=10m minerpools,gpuworkloads
	$(KUBECTL) delete --ignore-not-found --all --timeout=10m curtailmentevents,powerbudgets
	go run ./cmd/operator open-gates
	$(KUBECTL) delete --ignore-not-found -k config/default

##@ Chaos (docs/chaos.md)

HISTORIES ?= 20000
SEED ?= 1
HISTORY ?=

.PHONY: chaos
chaos: ## Play HISTORIES=20000 faulty histories of SEED=1 in virtual time; HISTORY=n plays one and shrinks it.
	@go build -o bin/chaos ./test/chaos/cmd
	@bin/chaos -seed $(SEED) $(if $(HISTORY),-history $(HISTORY),-histories $(HISTORIES)) $(CHAOSFLAGS)

.PHONY: chaos-mutants
chaos-mutants: HISTORIES := $(if $(filter file,$(origin HISTORIES)),10000,$(HISTORIES))
chaos-mutants: ## Put known defects into the code, one at a time, and see chaos catch each (some minutes).
	@go build -o bin/chaos ./test/chaos/cmd
	@bin/chaos -mutants -seed $(SEED) -histories $(HISTORIES) -table docs/chaos.md $(CHAOSFLAGS)
