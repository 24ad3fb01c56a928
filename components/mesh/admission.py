"""What the API server refuses controller and hub, whose roles let them write more than they need.

RBAC tells kinds and namespaces apart, not objects. Here is a ValidatingAdmissionPolicy for each account: it
binds nobody else, and makes nobody else's requests slower. A thief of the account's token is bound as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import JoinableCluster
from .mutual_tls import CA_SECRET, CERTIFICATE_SECRET

# What the gateway's own code has in core/objects.py and core/derived_names.py; a test compares.
MANAGED_BY = "app.kubernetes.io/managed-by"
GATEWAY = "multicluster-gateway"
CONTROLLER = "multicluster-controller"
HUB = "multicluster-hub"
SLICE_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SELECTOR = "multicluster.flomesh.io/selector"
FINALIZER = "multicluster.flomesh.io/withdraw"
IMPORTED = "multicluster.flomesh.io/imported"
KUBERNETES = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")
SYSTEM = ("default", "dapr-system", "multicluster-system")
"""Namespaces whose Services never cross clusters, beside `kube-*`."""

Spec = dict[str, Any]


def controller_spec(*, account: str, namespace: str) -> Spec:
    """Spec of the policy for the controller's account.

    It writes what carries its label. Of a Service without that it takes the selector away into an annotation,
    puts back what is there, and takes off what it left on one that somebody has made his own. Secrets are the
    two of the cluster's certificates: of another type one would be filled with the token of any account.
    """
    resources = (
        ("", ["services", "endpoints", "secrets"]),
        ("discovery.k8s.io", ["endpointslices"]),
        ("dapr.io", ["httpendpoints"]),
        ("flomesh.io", ["globaltrafficpolicies", "peers"]),
    )
    rules = [
        _of(
            "services",
            "request.operation == 'DELETE' || !variables.system",
            "writes no Services of the system's namespaces",
        ),
        _of(
            "services",
            f"variables.mine ? {_PLAIN} && (variables.wasMine || request.operation == 'CREATE') : true",
            "makes ClusterIP Services only, and makes no Service its own",
        ),
        _of(
            "services",
            "variables.mine || request.operation != 'CREATE'",
            "makes Services with its label only",
        ),
        _of(
            "services",
            "variables.wasMine || request.operation != 'DELETE'",
            "deletes Services with its label only",
        ),
        _of(
            "services",
            f"request.operation != 'UPDATE' || variables.mine"
            f" || ({_SAME_SPEC} && (variables.wasMine || ({_SAME_META}) || ({_HANDED_OVER})))",
            "changes of a Service that is not its own nothing but the selector",
        ),
        _of(
            "services",
            f"request.operation != 'UPDATE' || variables.mine"
            f" || {_SELECTOR_STAYS} || {_TAKEN} || {_GIVEN_BACK}",
            f"takes a selector away only into the annotation {SELECTOR}, and puts back what is there",
        ),
        _of(
            "endpointslices",
            f"request.operation == 'DELETE' || !variables.system && variables.sliceBy == '{GATEWAY}'",
            "writes only EndpointSlices with its label, and none of the system's namespaces",
        ),
        _of(
            "endpointslices",
            f"request.operation == 'CREATE' || variables.oldSliceBy == '{GATEWAY}'"
            " || request.operation == 'DELETE' && !variables.system"
            f" && variables.oldSliceBy in {_list(KUBERNETES)}",
            "changes no EndpointSlice of others, and deletes only those that Kubernetes can make again",
        ),
        _of("endpoints", "!variables.system", "deletes no Endpoints of the system's namespaces"),
        _of(
            "httpendpoints",
            _OWN,
            "writes HTTPEndpoints with its label only",
        ),
        _of("globaltrafficpolicies", _FINALIZER_ONLY, "changes of a policy its own finalizer only"),
        _of(
            "secrets",
            f"request.operation != 'DELETE' && [object.metadata.name, object.type] in {_CERTIFICATES}"
            f" && {_BY_CONTROLLER}",
            f"writes no Secrets but {CA_SECRET} and {CERTIFICATE_SECRET}, with its label",
        ),
        _of(
            "peers",
            f"request.operation != 'DELETE' && {_BY_CONTROLLER}",
            "writes Peers with its label only, and deletes none",
        ),
    ]
    return _policy(account, namespace, resources, GATEWAY, rules)


def hub_spec(*, account: str, namespace: str) -> Spec:
    """Spec of the policy for the hub's account: it writes its own imports and Peers, and of a Cluster its
    finalizer."""
    resources = (("flomesh.io", ["serviceimports", "clusters", "peers"]),)
    rules = [
        _of(
            "serviceimports",
            _OWN,
            "writes ServiceImports with its label only",
        ),
        _of(
            "serviceimports",
            "request.operation == 'DELETE' || !variables.system",
            "writes no ServiceImports into the system's namespaces",
        ),
        _of("clusters", _FINALIZER_ONLY, "changes of a Cluster its own finalizer only"),
        _of("peers", _OWN, "writes Peers with its label only"),
    ]
    return _policy(account, namespace, resources, HUB, rules)


_OWN = (
    "(variables.mine || request.operation == 'DELETE')"
    " && (variables.wasMine || request.operation == 'CREATE')"
)
_CERTIFICATES = f"[['{CA_SECRET}', 'Opaque'], ['{CERTIFICATE_SECRET}', 'kubernetes.io/tls']]"
_BY_CONTROLLER = (
    f"variables.labels[?'{MANAGED_BY}'].orValue('') == '{CONTROLLER}'"
    " && (request.operation == 'CREATE'"
    f" || variables.oldLabels[?'{MANAGED_BY}'].orValue('') == '{CONTROLLER}')"
)
# A Service that leads nowhere but to its endpoints.
_PLAIN = (
    "object.spec.?type.orValue('ClusterIP') == 'ClusterIP'"
    " && !has(object.spec.externalIPs) && !has(object.spec.externalName)"
)
_SAME_SPEC = (
    "object.spec.all(k, k == 'selector' || k in oldObject.spec && object.spec[k] == oldObject.spec[k])"
    " && oldObject.spec.all(k, k == 'selector' || k in object.spec)"
)


def _same(*fields: str) -> str:
    return " && ".join(
        f"object.metadata.?{field}.orValue({empty}) == oldObject.metadata.?{field}.orValue({empty})"
        for field in fields
        for empty in ("{}" if field in {"labels", "annotations"} else "[]",)
    )


_SAME_META = (
    _same("labels", "ownerReferences", "finalizers")
    + f" && variables.notes.all(k, k == '{SELECTOR}' || k in variables.oldNotes && variables.notes[k] =="
    f" variables.oldNotes[k]) && variables.oldNotes.all(k, k == '{SELECTOR}' || k in variables.notes)"
)
# Whether nothing went but what shows that an import was behind it: somebody has made it his own.
_HANDED_OVER = (
    _same("finalizers", "annotations")
    + " && variables.labels.all(k, k in variables.oldLabels && variables.labels[k] == variables.oldLabels[k])"
    f" && variables.oldLabels.all(k, k == '{IMPORTED}' || k in variables.labels)"
    " && object.metadata.?ownerReferences.orValue([]).all(o,"
    " o in oldObject.metadata.?ownerReferences.orValue([]))"
    " && oldObject.metadata.?ownerReferences.orValue([]).all(o, o.kind == 'ServiceImport' ||"
    " o in object.metadata.?ownerReferences.orValue([]))"
)
# Whether the annotation is the selector as JSON, as Python writes it: every pair is in it, and there is room
# for nothing else. CEL does not read JSON. Names and values of labels have no characters that JSON escapes.
_KEPT = (
    "variables.said.size() > 0 && variables.said.all(k, variables.kept.contains("
    "'\"' + k + '\": \"' + variables.said[k] + '\"'))"
    " && variables.said.map(k, size(k) + size(variables.said[k]) + 8).sum() == size(variables.kept)"
)
_SELECTOR_STAYS = (
    "variables.selector == variables.oldSelector"
    " && (variables.kept == variables.oldKept || variables.kept == '' && variables.selector != {})"
)
_TAKEN = f"variables.selector == {{}} && {_KEPT}"
_GIVEN_BACK = f"variables.oldSelector == {{}} && variables.kept == variables.oldKept && {_KEPT}"
_FINALIZER_ONLY = " && ".join((
    "request.operation == 'UPDATE' && object.spec == oldObject.spec",
    _same("labels", "annotations", "ownerReferences"),
    *(
        f"{one}.metadata.?finalizers.orValue([]).all(f, f == '{FINALIZER}' ||"
        f" f in {other}.metadata.?finalizers.orValue([]))"
        for one, other in (("object", "oldObject"), ("oldObject", "object"))
    ),
))  # fmt: skip


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(f"'{text}'" for text in texts) + "]"


def _of(resource: str, expression: str, message: str) -> dict[str, str]:
    """A rule about one resource; others pass. The message follows `it`."""
    return {
        "expression": f"request.resource.resource != '{resource}' || ({expression})",
        "message": f"it {message}",
    }


def _policy(
    account: str,
    namespace: str,
    resources: Sequence[tuple[str, list[str]]],
    owner: str,
    rules: Sequence[Mapping[str, str]],
) -> Spec:
    def read(name: str, where: str, path: str, default: str) -> dict[str, str]:
        # A deleted object is only the old one, a new one only the new one.
        return {
            "name": name,
            "expression": f"{where} != null ? {where}.{path}.orValue({default}) : {default}",
        }

    variables = [
        {
            "name": "system",
            "expression": f"request.namespace in {_list(SYSTEM)} || request.namespace.startsWith('kube-')",
        },
        read("labels", "object", "metadata.?labels", "{}"),
        read("oldLabels", "oldObject", "metadata.?labels", "{}"),
        {"name": "mine", "expression": f"variables.labels[?'{MANAGED_BY}'].orValue('') == '{owner}'"},
        {"name": "wasMine", "expression": f"variables.oldLabels[?'{MANAGED_BY}'].orValue('') == '{owner}'"},
        {"name": "sliceBy", "expression": f"variables.labels[?'{SLICE_MANAGED_BY}'].orValue('')"},
        {"name": "oldSliceBy", "expression": f"variables.oldLabels[?'{SLICE_MANAGED_BY}'].orValue('')"},
        read("notes", "object", "metadata.?annotations", "{}"),
        read("oldNotes", "oldObject", "metadata.?annotations", "{}"),
        read("selector", "object", "?spec.?selector", "{}"),
        read("oldSelector", "oldObject", "?spec.?selector", "{}"),
        {"name": "kept", "expression": f"variables.notes[?'{SELECTOR}'].orValue('')"},
        {"name": "oldKept", "expression": f"variables.oldNotes[?'{SELECTOR}'].orValue('')"},
        {
            "name": "said",
            "expression": "variables.selector == {} ? variables.oldSelector : variables.selector",
        },
    ]
    user = f"system:serviceaccount:{namespace}:{account}"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [group],
                    "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE", "DELETE"],
                    "resources": list(names),
                }
                for group, names in resources
            ]
        },
        "matchConditions": [{"name": "account", "expression": f"request.userInfo.username == '{user}'"}],
        "variables": variables,
        "validations": list(rules),
    }


def binding_spec(policy: Any) -> Spec:
    """Spec of the binding: who breaks a rule is refused, and the API server's audit log has it."""
    return {"policyName": policy, "validationActions": ["Deny", "Audit"]}


@dataclass(frozen=True, kw_only=True)
class AdmissionArgs:
    """`name` and `spec` of the policy. The cluster's Kubernetes is 1.30 or later."""

    cluster: JoinableCluster
    name: str
    spec: pulumi.Input[Spec]


class Admission(pulumi.ComponentResource):
    """Creates the policy and its binding."""

    def __init__(self, name: str, args: AdmissionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:Admission", name, None, opts)
        policy = kubernetes.admissionregistration.v1.ValidatingAdmissionPolicy(
            f"{name}-policy", metadata={"name": args.name}, spec=args.spec, opts=args.cluster.child(self)
        )
        kubernetes.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
            f"{name}-binding",
            metadata={"name": args.name},
            spec=binding_spec(policy.metadata["name"]),
            opts=args.cluster.child(self),
        )
        self.register_outputs({})
