"""The takeovers of a cluster: which are wanted, which may begin, and what is remembered of each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from gateway.core.every_caller import Reach, is_touched, reaches
from gateway.core.objects import Key, Object, has_selector, is_deleted, key_of, meta, uid_of, was_derived
from gateway.core.snapshot import Compiled
from gateway.kube import finalizer
from gateway.kube.actions import Action
from gateway.kube.contest import Contests, owner_of_selector
from gateway.kube.follower import Taken
from gateway.kube.resources import IMPORT, POLICY, SERVICE

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.3
"""How long a write that must settle is wanted before it is made."""
VACANT_SECONDS = 1.0
"""How long the name of a deleted Service stays free before a derived one takes it: whoever deletes (Pulumi,
Helm) looks whether the name is gone, and would wait for ever for a name that somebody took at once."""


class Takeovers:
    """What a reconciler remembers from round to round. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._contests = Contests(clock)
        self._wanted_since: dict[tuple[str, Key], float] = {}
        """By kind and key: since when a write that must settle has been wanted."""
        self._local: set[Key] = set()
        """Imports that had a local Service in the last round."""
        self._vacated: dict[Key, float] = {}
        """When such a Service was found to be gone."""

    def reaches(self, taken: Taken, compiled: Compiled) -> Mapping[Key, Reach]:
        """How far each policy reaches that asks for every caller."""
        policies = taken[POLICY.kind]
        exports = {export.key: export for export in compiled.exports}
        rivals = self._contests.rivals({key: _revision(policy) for key, policy in policies.items()})
        needed = compiled.snapshot.needs_gateways
        return reaches(policies, taken[SERVICE.kind], exports, needed, rivals, imports=taken[IMPORT.kind])

    def may_begin(self, taken: Taken, reached: Mapping[Key, Reach], key: Key) -> bool:
        """Whether a Service is to be taken over: from when its policy cannot go without being noticed."""
        return key in reached and reached[key].wanted and finalizer.is_set(taken[POLICY.kind][key])

    def held(self, taken: Taken, reached: Mapping[Key, Reach]) -> Iterator[Action]:
        """Finalizers of policies: one whose Service is taken over is gone only when that is as it was."""
        services = taken[SERVICE.kind]
        for key, policy in taken[POLICY.kind].items():
            wanted = key in reached and reached[key].wanted
            if finalizer.is_set(policy):
                if not wanted and not is_touched(services.get(key, {})):
                    yield Action("merge", POLICY, key, finalizer.remove(policy))
            elif wanted and not is_deleted(policy):
                yield Action("merge", POLICY, key, finalizer.add(policy))

    def settled(self, actions: Sequence[Action], taken: Taken) -> tuple[list[Action], bool]:
        """Without the writes that are to wait a moment; false when there are such."""
        now, services = self._clock(), taken[SERVICE.kind]
        local = {key for key in taken[IMPORT.kind] if key in services and not was_derived(services[key])}
        self._vacated = {key: when for key, when in self._vacated.items() if now - when < VACANT_SECONDS}
        self._vacated |= dict.fromkeys(self._local - local, now)
        self._local = local
        waiting = {(action.resource.kind, action.key) for action in actions if action.settled}
        self._wanted_since = {one: self._wanted_since.get(one, now) for one in waiting}
        due = [action for action in actions if self._is_due(action, now)]
        return due, len(due) == len(actions)

    def _is_due(self, action: Action, now: float) -> bool:
        if action.verb == "create" and action.resource is SERVICE:
            return action.key not in self._vacated
        since = self._wanted_since.get((action.resource.kind, action.key), now)
        return not action.settled or now - since >= WAIT_SECONDS

    def may_take(self, service: Object, policy: Object) -> bool:
        """Whether to take a selector over once more; `service` as it is now, with its managedFields."""
        if not has_selector(service):
            return False  # it was taken over; who looks at an older one is not who puts it back
        key, rival = key_of(service), owner_of_selector(service)
        if self._contests.may_take(key, _revision(policy), rival):
            return True
        log.warning("Service %s/%s is left alone: %s keeps putting its selector back", *key, rival)
        return False

    def taken(self, key: Key) -> None:
        """Note that a Service was taken over."""
        self._contests.taken(key)


def _revision(policy: Object) -> str:
    """What changes with a policy's intent."""
    return f"{uid_of(policy)}/{meta(policy).get('generation')}"
