"""Configuration files and command lines of the node's programs, as pure functions of what is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import layout
from .arguments import ServerOptions

PKI = str(layout.PKI)


@dataclass(frozen=True, kw_only=True)
class Node:
    """This node: its name, its address in the container network, what was asked of it, its pause image."""

    name: str
    address: str
    options: ServerOptions
    pause_image: str

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """Names and addresses the API server's certificate must hold besides those kubeadm adds."""
        # 0.0.0.0 is what k3d passes for an API port published everywhere; it is no address to connect to.
        wanted = ("localhost", "127.0.0.1", self.name, self.address, *self.options.tls_sans)
        return tuple(sorted({name for name in wanted if name != "0.0.0.0"}))  # noqa: S104


def kubeadm_config(node: Node, version: str) -> str:
    """What kubeadm needs to make certificates and kubeconfigs; kubeadm starts nothing here."""
    init = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": node.address, "bindPort": 6443},
        "nodeRegistration": {"name": node.name, "criSocket": f"unix://{layout.CONTAINERD_SOCKET}"},
    }
    cluster = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "kubernetesVersion": version,
        "certificatesDir": PKI,
        "controlPlaneEndpoint": "127.0.0.1:6443",
        "encryptionAlgorithm": "ECDSA-P256",  # a tenth of the seconds RSA keys take, four clusters at a time
        "networking": {"serviceSubnet": node.options.service_cidr, "podSubnet": node.options.cluster_cidr},
        "apiServer": {"certSANs": list(node.certificate_names)},
    }
    return f"{json.dumps(init)}\n---\n{json.dumps(cluster)}\n"


def default_kubeconfig(admin: str) -> str:
    """k3s's kubeconfig, from kubeadm's: k3d looks for a cluster, a user and a context named `default`."""
    fields = dict(line.strip().split(": ", 1) for line in admin.splitlines() if "-data: " in line)
    cluster = {
        "certificate-authority-data": fields["certificate-authority-data"],
        "server": "https://127.0.0.1:6443",
    }
    user = {key: fields[key] for key in ("client-certificate-data", "client-key-data")}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "default",
            "clusters": [{"name": "default", "cluster": cluster}],
            "users": [{"name": "default", "user": user}],
            "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        },
        indent=2,
    )


def containerd_config(node: Node) -> str:
    """containerd's config.toml."""
    return f"""version = 2
root = "{layout.CONTAINERD_ROOT}"
[grpc]
  address = "{layout.CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{node.pause_image}"
  # A machine without CAP_SYS_RESOURCE refuses scores below the node's own.
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
"""


def cni_config(node: Node) -> str:
    """Pod network: every pod has a routed link of its own, so no bridge netfilter module is needed."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": node.options.pod_subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": True, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}, indent=2)


def kubelet_config(node: Node) -> str:
    """The kubelet inside a container: no cgroup ownership, no eviction by the host's disk."""
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{PKI}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{layout.CONTAINERD_SOCKET}",
            "clusterDNS": [node.options.cluster_dns],
            "clusterDomain": "cluster.local",
            "resolvConf": "/etc/resolv.conf",
            "failCgroupV1": False,
            "failSwapOn": False,
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "oomScoreAdj": 0,
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,  # images here cannot be pulled again
            "imageGCLowThresholdPercent": 99,
            "serializeImagePulls": False,
            "rotateCertificates": False,
            "shutdownGracePeriod": "0s",
        },
        indent=2,
    )


def kube_proxy_config(node: Node) -> str:
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": f"{layout.KUBERNETES}/kube-proxy.conf"},
            "clusterCIDR": node.options.cluster_cidr,
            "hostnameOverride": node.name,
            "bindAddress": node.address,
            "oomScoreAdj": 0,
            # Written by the host only: the sysctl is not the container's.
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "iptables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        },
        indent=2,
    )


def corefile() -> str:
    """CoreDNS answers for cluster.local and the node hosts k3d writes, and forwards the rest.

    Like k3s's it takes in what `coredns-custom` holds: plugins (`*.override`) and server blocks (`*.server`).
    """
    zones = "cluster.local in-addr.arpa ip6.arpa"
    return f""".:53 {{
    errors
    kubernetes {zones} {{
        kubeconfig {layout.KUBERNETES}/coredns.conf
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }}
    hosts {layout.COREDNS}/NodeHosts {{
        ttl 60
        reload 2s
        fallthrough
    }}
    forward . /etc/resolv.conf
    cache 30 {{
        disable success cluster.local clusterset.local
        disable denial cluster.local clusterset.local
    }}
    loadbalance
    reload 2s
    import {layout.CUSTOM_DNS}/*.override
}}
import {layout.CUSTOM_DNS}/*.server
"""


def dns_endpoints(node: Node) -> str:
    """The kube-dns Service has no pods: CoreDNS is a process of the node, reached at the node's address."""
    return json.dumps(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns-node",
                "namespace": "kube-system",
                "labels": {
                    "kubernetes.io/service-name": "kube-dns",
                    "endpointslice.kubernetes.io/managed-by": "k3s-node",
                },
            },
            "addressType": "IPv4",
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
            "endpoints": [{"addresses": [node.address], "conditions": {"ready": True}}],
        }
    )


def commands(node: Node) -> Mapping[str, Sequence[str]]:
    """Command line of each long-running program by name."""
    etc = str(layout.KUBERNETES)
    return {
        "containerd": ["containerd", "--config", "/etc/containerd/config.toml"],
        "etcd": [
            "etcd",
            f"--data-dir={layout.ETCD_DATA}",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",  # a killed process loses nothing, only a power cut does
            "--log-level=warn",
        ],
        "kube-apiserver": [
            "kube-apiserver",
            f"--advertise-address={node.address}",
            "--secure-port=6443",
            "--etcd-servers=http://127.0.0.1:2379",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--enable-bootstrap-token-auth=false",
            "--allow-privileged=true",
            f"--service-cluster-ip-range={node.options.service_cidr}",
            f"--client-ca-file={PKI}/ca.crt",
            f"--tls-cert-file={PKI}/apiserver.crt",
            f"--tls-private-key-file={PKI}/apiserver.key",
            f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP,Hostname",
            f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={PKI}/front-proxy-client.crt",
            f"--proxy-client-key-file={PKI}/front-proxy-client.key",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={PKI}/sa.pub",
            f"--service-account-signing-key-file={PKI}/sa.key",
        ],
        "kube-controller-manager": [
            "kube-controller-manager",
            f"--kubeconfig={etc}/controller-manager.conf",
            f"--authentication-kubeconfig={etc}/controller-manager.conf",
            f"--authorization-kubeconfig={etc}/controller-manager.conf",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--controllers=*",
            "--use-service-account-credentials=true",
            f"--client-ca-file={PKI}/ca.crt",
            f"--root-ca-file={PKI}/ca.crt",
            f"--cluster-signing-cert-file={PKI}/ca.crt",
            f"--cluster-signing-key-file={PKI}/ca.key",
            f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
            f"--service-account-private-key-file={PKI}/sa.key",
            f"--service-cluster-ip-range={node.options.service_cidr}",
            "--enable-hostpath-provisioner=true",  # storage class local-path
        ],
        "kube-scheduler": [
            "kube-scheduler",
            f"--kubeconfig={etc}/scheduler.conf",
            f"--authentication-kubeconfig={etc}/scheduler.conf",
            f"--authorization-kubeconfig={etc}/scheduler.conf",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
        "kubelet": [
            "kubelet",
            "--config=/etc/k3s-node/kubelet.json",
            f"--kubeconfig={etc}/kubelet.conf",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
        ],
        "kube-proxy": ["kube-proxy", "--config=/etc/k3s-node/kube-proxy.json"],
        "coredns": ["coredns", "-conf", str(layout.COREDNS / "Corefile")],
    }
