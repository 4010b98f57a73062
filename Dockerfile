# Images of one static binary and CA certificates each, without a shell:
#   docker build --target operator .      the manager
#   docker build --target miner-agent .   the mining pod's agent
#   docker build --target asic-sim .      simulated miners, to try things with
# For other machines: docker buildx build --platform linux/amd64,linux/arm64 ...
# hack/image.sh builds the same targets without a registry: it puts what `build` makes in its place.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH
RUN go build -trimpath -ldflags "-s -w" -o /out/ ./cmd/operator ./cmd/miner-agent ./cmd/asic-sim \
 && mkdir -p /out/base/etc/ssl/certs \
 && cp /etc/ssl/certs/ca-certificates.crt /out/base/etc/ssl/certs/ \
 && echo 'nonroot:x:65532:65532::/:/none' > /out/base/etc/passwd \
 && echo 'nonroot:x:65532:' > /out/base/etc/group

FROM scratch AS base
COPY --from=build /out/base /
USER 65532:65532

FROM base AS asic-sim
COPY --from=build /out/asic-sim /asic-sim
ENTRYPOINT ["/asic-sim"]

FROM base AS miner-agent
COPY --from=build /out/miner-agent /miner-agent
ENTRYPOINT ["/miner-agent"]

FROM base AS operator
COPY --from=build /out/operator /operator
ENTRYPOINT ["/operator"]
