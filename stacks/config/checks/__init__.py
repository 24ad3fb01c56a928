"""Rules between settings. Each yields every breach it finds, so that one run shows them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stacks.config.checks import (
    apps,
    canaries,
    clusters,
    dapr,
    host,
    hosts,
    installed,
    mutual_tls,
    paths,
    services,
    state,
    telemetry,
    timeouts,
)
from stacks.config.model import Settings
from stacks.config.problem import Problem

Check = Callable[[Settings], Iterable[Problem]]

# Each check with the settings it reads: it runs only when all of them are valid on their own.
CHECKS: tuple[tuple[Check, frozenset[str]], ...] = (
    (clusters.one_control_plane, frozenset({"clusters"})),
    (clusters.unique_names, frozenset({"clusters"})),
    (clusters.cluster_sources, frozenset({"clusters", "images"})),
    (clusters.reached_apart, frozenset({"clusters"})),
    (clusters.members_may_export, frozenset({"clusters", "mesh", "exports"})),
    (clusters.versions_fit_the_mesh, frozenset({"clusters", "mesh", "versions"})),
    (mutual_tls.gateways_are_reached, frozenset({"clusters", "gateway", "mesh"})),
    (mutual_tls.certificates_end_in_time, frozenset({"gateway"})),
    (telemetry.telemetry_makes_sense, frozenset({"gateway", "mesh"})),
    (host.unique_ports, frozenset({"clusters", "redis"})),
    (host.subnet_is_free, frozenset({"clusters", "network"})),
    (host.ranges_are_apart, frozenset({"clusters"})),
    (host.redis_fits_its_mode, frozenset({"clusters", "redis", "redis_password"})),
    (installed.dapr_is_where_it_is_used, frozenset({"clusters", "dapr", "exports", "apps"})),
    (installed.nothing_asks_for_a_redis_that_is_not_there, frozenset({"clusters", "dapr", "redis", "apps"})),
    (state.actors_have_one_owner, frozenset({"clusters", "apps", "dapr"})),
    (state.stores_are_told_apart, frozenset({"clusters", "apps"})),
    (state.databases_suffice, frozenset({"clusters", "dapr", "redis"})),
    (apps.apps_are_whole, frozenset({"apps"})),
    (apps.images_are_told_apart, frozenset({"apps"})),
    (apps.pods_are_told_apart, frozenset({"clusters", "apps"})),
    (dapr.resources_are_where_dapr_is, frozenset({"clusters", "dapr"})),
    (dapr.resources_are_told_apart, frozenset({"clusters", "dapr", "apps"})),
    (dapr.resources_are_whole, frozenset({"dapr"})),
    (services.apps_run_on_members, frozenset({"clusters", "apps"})),
    (services.exports_make_sense, frozenset({"clusters", "apps", "exports"})),
    (services.sidecars_can_be_asked, frozenset({"dapr", "mesh", "apps", "exports"})),
    (services.app_ids_fit_the_mesh, frozenset({"mesh", "exports"})),
    (paths.paths_have_one_owner, frozenset({"exports"})),
    (hosts.hosts_make_sense, frozenset({"exports", "mesh"})),
    (hosts.granted_hosts_make_sense, frozenset({"clusters", "mesh", "hosts"})),
    (paths.delegated_paths_make_sense, frozenset({"clusters", "mesh", "paths"})),
    (paths.paths_are_said_or_not, frozenset({"exports"})),
    (paths.rewrites_can_run, frozenset({"exports"})),
    (canaries.backends_make_sense, frozenset({"clusters", "apps", "dapr", "exports", "mesh"})),
    (canaries.matches_make_sense, frozenset({"mesh", "policies"})),
    (timeouts.timeouts_can_be_kept, frozenset({"exports", "mesh"})),
    (services.namespaces_are_somewhere, frozenset({"clusters", "namespaces"})),
    (services.policies_make_sense, frozenset({"clusters", "policies"})),
    (services.weights_fit_the_mesh, frozenset({"mesh", "clusters", "policies"})),
)
