"""`k3s server`: the order in which a node comes up."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import custom_dns, layout, pki, render, store, watch
from .arguments import ServerOptions
from .log import log
from .processes import Processes

READY_SECONDS = 180
INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 1024


def run(options: ServerOptions) -> int:
    """Start everything, then stay until SIGTERM or SIGINT. Exit code for the container."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    for word in options.ignored:
        log("warning", f"{word} is k3s's, and is ignored by this node")
    node = render.Node(
        name=socket.gethostname(),
        address=_address(),
        options=options,
        pause_image=os.environ["PAUSE_IMAGE"],
    )
    log("info", f"Node {node.name} at {node.address}, certificate names {', '.join(node.certificate_names)}")
    _raise_inotify_limit()
    _prepare(node)
    processes = Processes()
    commands = render.commands(node)
    for name in ("etcd", "containerd"):
        processes.start(name, commands[name])
    threading.Thread(target=_import_images, name="images", daemon=True).start()
    pki.ensure_certificates(node, os.environ["KUBERNETES_VERSION"])
    pki.publish_kubeconfig()
    processes.start("kube-apiserver", commands["kube-apiserver"])
    try:
        if not _wait_for_api(stopping):
            if stopping.is_set():
                return 0
            said = processes.tail("kube-apiserver")
            log("fatal", f"The API server was not ready in {READY_SECONDS} s: {said}")
            return 1
        for name in ("kubelet", "kube-controller-manager", "kube-scheduler", "coredns"):
            processes.start(name, commands[name])
        applied = watch.signature(layout.MANIFESTS)
        done = watch.apply(layout.MANIFESTS)
        watch.write_node_hosts()
        log("info", "k3s is up and running")
        log("info", "Cluster dns configmap has been set successfully")
        processes.start("kube-proxy", commands["kube-proxy"])
        follow = (_get, layout.CUSTOM_DNS, stopping)
        threading.Thread(target=custom_dns.follow, args=follow, name="custom-dns", daemon=True).start()
        watch.watch(stopping, applied if done else None)
        return 0
    finally:
        log("info", "Stopping")
        processes.stop()


def _raise_inotify_limit() -> None:
    """Each node takes some twenty inotify instances; the usual limit of 128 for all of root is soon gone."""
    limit = int(INOTIFY_INSTANCES.read_text())
    if limit >= INOTIFY_WANTED:
        return
    try:
        INOTIFY_INSTANCES.write_text(str(INOTIFY_WANTED))
    except OSError as error:
        log("warning", f"fs.inotify.max_user_instances stays at {limit}, too few for many nodes: {error}")
        return
    log("info", f"Raised fs.inotify.max_user_instances of this machine from {limit} to {INOTIFY_WANTED}")


def _address() -> str:
    """The address other containers and the host reach this node by."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: a datagram socket only looks up the route
        return str(probe.getsockname()[0])


def _prepare(node: render.Node) -> None:
    """Write every configuration file and clear what a restarted container must not find."""
    for folder in (layout.LOGS, layout.RUN, layout.COREDNS, layout.STORAGE, layout.PKI, layout.MANIFESTS):
        folder.mkdir(parents=True, exist_ok=True)
    for link, target in (
        (Path("/etc/kubernetes"), layout.KUBERNETES),
        (layout.HOSTPATH_PROVISIONER, layout.STORAGE),
    ):
        if not link.is_symlink():
            link.symlink_to(target)
    # Network namespaces are gone after a restart; addresses noted as taken would never be given back.
    shutil.rmtree("/var/lib/cni", ignore_errors=True)
    files = {
        "/etc/containerd/config.toml": render.containerd_config(node),
        "/etc/cni/net.d/10-pods.conflist": render.cni_config(node),
        "/etc/k3s-node/kubelet.json": render.kubelet_config(node),
        "/etc/k3s-node/kube-proxy.json": render.kube_proxy_config(node),
        str(layout.COREDNS / "Corefile"): render.corefile(),
        str(layout.MANIFESTS / "dns-endpoints.json"): render.dns_endpoints(node),
    }
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    (layout.COREDNS / "NodeHosts").touch()
    if not layout.CUSTOM_DNS.exists():  # a restart keeps what was there
        custom_dns.write(layout.CUSTOM_DNS, {})
    store.adopt()
    for manifest in layout.SHIPPED_MANIFESTS.iterdir():
        # A restart must keep what k3d wrote into coredns.yaml.
        if not (layout.MANIFESTS / manifest.name).exists():
            text = manifest.read_text().replace("CLUSTER_DNS", node.options.cluster_dns)
            (layout.MANIFESTS / manifest.name).write_text(text)


def _get(path: str, timeout: float = custom_dns.SILENT_SECONDS) -> http.client.HTTPResponse:
    """Open a page of the API server, as its own client of the kubelet, who may read everything."""
    context = ssl.create_default_context(cafile=str(layout.PKI / "ca.crt"))
    context.load_cert_chain(
        layout.PKI / "apiserver-kubelet-client.crt", layout.PKI / "apiserver-kubelet-client.key"
    )
    url = f"https://127.0.0.1:6443{path}"
    answer: http.client.HTTPResponse = urllib.request.urlopen(url, context=context, timeout=timeout)
    return answer


def _wait_for_api(stopping: threading.Event) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and not stopping.wait(0.1):
        try:
            with _get("/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return True
        except OSError:
            continue  # not listening yet, or not every hook has run
    return False


def _import_images() -> None:
    """Import every archive of the image folders into containerd, two at a time."""
    while not Path(layout.CONTAINERD_SOCKET).exists():
        time.sleep(0.05)
    archives = [path for folder in layout.IMAGE_FOLDERS for path in sorted(folder.glob("*.tar"))]
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(_import_archive, archives))


def _import_archive(archive: Path) -> None:
    # An unchanged archive is in containerd already when the container was restarted.
    mark = layout.STATE / "agent" / "imported" / f"{archive.name}-{archive.stat().st_mtime_ns}"
    if mark.exists():
        return
    if store.holds(archive):
        log("info", f"The images of {archive} came with the node image")
        return
    started = time.monotonic()
    for attempt in range(20):
        argv = ["ctr", "images", "import", "--all-platforms", str(archive)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
            log("info", f"Imported images from {archive} in {time.monotonic() - started:.1f} s")
            return
        time.sleep(0.1 * attempt)  # the socket exists a moment before containerd answers
    log("error", f"Images of {archive} cannot be imported: {done.stderr.strip()}")
