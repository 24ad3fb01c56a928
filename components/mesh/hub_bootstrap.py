"""The credential to begin with: buys the hub its first token in a member, and can do nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import JoinableCluster
from . import hub_identity, rbac
from .account import Account
from .admission import Admission, AdmissionArgs, Spec

NAME = rbac.BOOTSTRAP
RENEWAL = "multicluster-hub-token"
TOKEN_SECONDS = 3600
"""How long the hub's tokens are good, as in the gateway's core/member_token.py; a test compares."""


def token_spec(*, namespace: str) -> Spec:
    """Spec of the policy for who asks for tokens of the hub: none is good for longer than the hub wants them.

    RBAC says of whom, not for how long; a thief of a token would else ask for one of ten years.
    """
    users = [f"system:serviceaccount:{namespace}:{account}" for account in (hub_identity.NAME, NAME)]
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["serviceaccounts/token"],
                }
            ]
        },
        "matchConditions": [{"name": "account", "expression": f"request.userInfo.username in {users}"}],
        "validations": [
            {
                "expression": f"object.spec.expirationSeconds <= {TOKEN_SECONDS}",
                "message": f"it asks for tokens of {TOKEN_SECONDS} seconds at most",
            }
        ],
    }


def bootstrap_secret(namespace: Any, account: Any) -> dict[str, Any]:
    """The Secret whose token Kubernetes fills in, without an end; the token ends with the Secret."""
    return {
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "annotations": {"kubernetes.io/service-account.name": account},
        },
        "type": "kubernetes.io/service-account-token",
    }


@dataclass(frozen=True, kw_only=True)
class HubBootstrapArgs:
    """`namespace` is the system namespace of the member, `account` the hub's there.

    `admission` is as in ControllerArgs.
    """

    cluster: JoinableCluster
    namespace: pulumi.Input[str]
    account: pulumi.Input[str]
    admission: bool = True


class HubBootstrap(pulumi.ComponentResource):
    """Creates a ServiceAccount that may ask for tokens of the hub's, its token, and the hub's right to renew.

    The hub deletes the Secret of the token once it has one of its own, and so ends it. The engine does not
    look: a run leaves it gone, a replacement of the Secret begins again.
    """

    data: pulumi.Output[Any]
    """`token` and `ca.crt` in base64, a secret; known once the rules hold."""
    bindings: list[pulumi.Resource]

    def __init__(self, name: str, args: HubBootstrapArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:HubBootstrap", name, None, opts)
        cluster = args.cluster
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata={"name": NAME, "namespace": args.namespace},
            automount_service_account_token=False,
            opts=cluster.child(self),
        )
        me = Account(parent=self, cluster=cluster, name=account.metadata["name"], namespace=args.namespace)
        hub = Account(parent=self, cluster=cluster, name=args.account, namespace=args.namespace)
        self.bindings = [
            me.may_at_home(name, NAME, rbac.HUB_BOOTSTRAP),
            hub.may_at_home(f"{name}-renewal", RENEWAL, rbac.HUB_RENEWAL),
        ]
        if args.admission:
            spec = pulumi.Output.from_input(args.namespace).apply(lambda ns: token_spec(namespace=ns))
            policy = AdmissionArgs(cluster=cluster, name=RENEWAL, spec=spec)
            Admission(f"{name}-admission", policy, pulumi.ResourceOptions(parent=self))
        token = kubernetes.core.v1.Secret(
            f"{name}-token",
            **bootstrap_secret(args.namespace, account.metadata["name"]),
            opts=cluster.child(self, depends_on=self.bindings),
        )
        self.data = pulumi.Output.secret(token.data)
        self.register_outputs({})
