#!/bin/sh
# Fetches uPlot as npm publishes it: run by go generate in coordinator/web. Raise the version here, and the sums in
# charts_test.go, which show that nothing else changed.
set -eu
version=1.6.32
dir=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
tar -xzf "$(npm pack --silent "uplot@$version")"
cp package/LICENSE package/dist/uPlot.iife.min.js package/dist/uPlot.min.css "$dir"
