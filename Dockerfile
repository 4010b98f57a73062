# Two images from one build, each one static binary and nothing else:
#   docker build --target operator .      the manager
#   docker build --target miner-agent .   the mining pod's agent
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH
RUN go build -trimpath -ldflags "-s -w" -o /out/ ./cmd/operator ./cmd/miner-agent

FROM scratch AS miner-agent
COPY --from=build /out/miner-agent /miner-agent
USER 65532:65532
ENTRYPOINT ["/miner-agent"]

FROM scratch AS operator
COPY --from=build /out/operator /operator
USER 65532:65532
ENTRYPOINT ["/operator"]
