#!/bin/sh
# reread_dns.sh REVISION: have CoreDNS read the ConfigMap coredns-custom now, in the cluster whose kubeconfig is on
# standard input. REVISION names what is in it; for one that is in force nothing is done.
# Left alone, the kubelet brings a changed ConfigMap into a pod after a minute, and CoreDNS looks each half minute.
set -eu
revision=$1
within=180s
umask 077
kubeconfig=$(mktemp "${TMPDIR:-/tmp}/multicluster-dapr-dns.XXXXXX")
trap 'rm -f "$kubeconfig"' EXIT
cat >"$kubeconfig"
in_system() { kubectl --kubeconfig "$kubeconfig" --namespace kube-system "$@"; }

# In our node image CoreDNS is a process of the node, which follows the ConfigMap by itself.
by_the_node=$(in_system get endpointslice kube-dns-node --ignore-not-found --output name)
[ -z "$by_the_node" ] || exit 0

# k3s makes it some seconds after the cluster is up, as a Deployment that would end its only pod first: then there
# would be no DNS for a moment.
in_system wait --for=create --timeout "$within" deployment/coredns >&2
in_system patch deployment coredns --patch "
spec:
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template: {metadata: {annotations: {multicluster-dapr/coredns-custom: \"$revision\"}}}
" >&2
in_system rollout status --timeout "$within" deployment/coredns >&2
