#!/usr/bin/env bash
# Reads an image's layers with the reference implementations of eStargz and zstd:chunked: `upstream.sh LAYOUT FOLDER`
# verifies the former and unpacks the latter into FOLDER. Needs the packages named in upstream.go.
set -euo pipefail
here="$(dirname "$(realpath "${BASH_SOURCE[0]}")")"
export GO111MODULE=off GOPATH="${GOPATH:-/usr/share/gocode}" GOFLAGS=-tags=exclude_graphdriver_devicemapper,exclude_graphdriver_btrfs
mkdir -p "$2"
program="$(mktemp -d)"
trap 'rm -rf "$program"' EXIT
export CONTAINERS_STORAGE_CONF="$program/storage.conf"
cat >"$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "vfs"
runroot = "$program/run"
graphroot = "$program/graph"
[storage.options]
pull_options = { enable_partial_images = "true" }
CONF
go build -o "$program/upstream" "$here/upstream.go"
"$program/upstream" "$(realpath "$1")" "$(realpath "$2")"
