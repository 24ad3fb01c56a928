#!/bin/sh
# publish.sh PATTERN REGISTRY: push every image of the local daemon that PATTERN names to REGISTRY.
set -eu
pattern=$1 registry=$2
images=$(docker image ls --format '{{.Repository}}:{{.Tag}}' --filter "reference=$pattern")
if [ -z "$images" ]; then
  echo "The Docker daemon holds no image $pattern: run ./stack up, which builds it." >&2
  exit 1
fi
for image in $images; do
  target=$registry/${image##*/}
  docker tag "$image" "$target"
  docker push --quiet "$target" >&2
done
