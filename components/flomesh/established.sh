#!/bin/sh
# established.sh CRD... [-- NAMESPACE OBJECT]: wait until the API server whose kubeconfig is on standard input
# serves each CRD (plural.group), and then until OBJECT (kind/name) is there.
set -eu
within=300s
umask 077
kubeconfig=$(mktemp "${TMPDIR:-/tmp}/multicluster-dapr-established.XXXXXX")
trap 'rm -f "$kubeconfig"' EXIT
cat >"$kubeconfig"
wait_for() { kubectl --kubeconfig "$kubeconfig" wait --timeout "$within" "$@" >&2; }
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  wait_for --for=create "crd/$1"
  wait_for --for=condition=Established "crd/$1"
  shift
done
if [ $# -eq 3 ]; then
  wait_for --for=create --namespace "$2" "$3"
fi
