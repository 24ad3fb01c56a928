"""Where things are inside the node. Paths that k3d or a user of k3s knows are k3s's own."""

from pathlib import Path

STATE = Path("/var/lib/rancher/k3s")  # a volume: survives a restart of the container
MANIFESTS = STATE / "server/manifests"
STORE = Path("/usr/share/k3s-node/store")  # images unpacked already, in the node image itself
SHIPPED_MANIFESTS = Path("/usr/share/k3s-node/manifests")
IMAGE_FOLDERS = (Path("/images"), STATE / "agent/images")
CONTAINERD_ROOT = STATE / "agent/containerd"
ETCD_DATA = STATE / "server/db/etcd"
STORAGE = STATE / "storage"
KUBERNETES = STATE / "server/kubernetes"  # /etc/kubernetes points here
PKI = KUBERNETES / "pki"

KUBECONFIG = Path("/etc/rancher/k3s/k3s.yaml")
RUN = Path("/run/k3s-node")
LOGS = Path("/var/log/k3s-node")
COREDNS = Path("/etc/coredns")
CUSTOM_DNS = COREDNS / "custom"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
# The provisioner inside kube-controller-manager always works here.
HOSTPATH_PROVISIONER = Path("/tmp/hostpath_pv")  # noqa: S108
