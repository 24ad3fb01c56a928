#!/bin/sh
# The k3d CLI around one cluster, for k3d_config.py's commands:
#   k3d.sh create NAME LABEL=ENVIRONMENT <FILE   make it from k3d's own file, print its kubeconfig
#   k3d.sh kubeconfig NAME                       print its kubeconfig
#   k3d.sh delete NAME                           remove it; not an error when it is gone already
#   k3d.sh import NAME IMAGE...                  copy images from the Docker daemon into its node; the tag of each is
#                                                the beginning of its id, and it gets that tag here
# States of running environments name this file and its commands: both stay.
# Standard output is a kubeconfig or nothing; what k3d says goes to standard error.
set -eu
command=$1 name=$2
shift 2

# k3d copies its configuration to a temporary file and never removes it, and would write to ~/.kube/config: both
# go into a folder of this command's own, that goes away with it. One that was killed leaves its folder behind: others
# of that name may be in use.
workspace=$(mktemp -d "${TMPDIR:-/tmp}/multicluster-dapr-$name.XXXXXX")
trap 'rm -rf "$workspace"' EXIT
trap 'exit 143' HUP INT TERM
# Colours would be escape codes in logs and in the engine's display.
export TMPDIR="$workspace" KUBECONFIG="$workspace/kubeconfig" LOG_COLORS=false

# A cluster of that name with our label was left by an interrupted run and is created again, and so is one without
# a server, which nobody can use; any other is someone else's and is refused.
clear_the_name() {
  k3d cluster list "$name" >/dev/null 2>&1 || return 0
  # k3d's own listing leaves foreign labels out; the daemon's does not.
  servers=$(docker ps --all --quiet --filter "label=k3d.cluster=$name" --filter label=k3d.role=server)
  ours=$(docker ps --all --quiet --filter "label=k3d.cluster=$name" --filter "label=$1")
  if [ -n "$servers" ] && [ -z "$ours" ]; then
    environment=${1#*=}
    echo "A k3d cluster named $name exists and is not part of environment $environment." \
      "Rename it in Pulumi.$environment.yaml, or remove the other: k3d cluster delete $name" >&2
    exit 1
  fi
  echo "Cluster $name was left by an interrupted run: creating it again." >&2
  k3d cluster delete "$name" >&2
}

copy_images() { k3d image import --mode direct --cluster "$name" "$@" >&2; }

case $command in
  create)
    clear_the_name "$1"
    k3d cluster create --config - >&2
    k3d kubeconfig get "$name"
    ;;
  kubeconfig) k3d kubeconfig get "$name" ;;
  delete) k3d cluster delete "$name" >&2 ;;
  import)
    # A node keeps what it has by a name: another content needs another one.
    for image in "$@"; do docker tag "${image##*:}" "$image" >&2; done
    # On a busy machine k3d may close its stream to the node before the node has read it all.
    copy_images "$@" || { echo "Copying the images once more." >&2 && copy_images "$@"; }
    ;;
  *)
    echo "k3d.sh: unknown command $command" >&2
    exit 2
    ;;
esac
