"""A policy that binds the lists of a model: for whom, from which history, and what is told and recorded of it."""

from __future__ import annotations

import json
import secrets
import threading
import weakref
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from recsys.data.items import ItemMetadata
from recsys.errors import ConfigError, DataError
from recsys.events.store import EventStore
from recsys.policy.acts import acts
from recsys.policy.binding import bind
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.conflicts import check
from recsys.policy.decide import Decision, effects_of
from recsys.policy.ledger import Ledger, keyed_hash
from recsys.policy.person import context_class, own_rules
from recsys.policy.reading import parse_individual
from recsys.policy.schema import Context, Policy, Rule
from recsys.serving.norms.circumstances import Circumstances
from recsys.serving.norms.records import Acted, AppliedPolicy, ItemDecision, NamedItem, RuleFacts
from recsys.serving.norms.ruled import Ruled
from recsys.serving.norms.rules import ListRules
from recsys.serving.users.history import UserHistory
from recsys.serving.users.settings import UserSettings
from recsys.types import Ints, Mask

RULES, CONSENTS, PERSON, KEY = "policy", "consents", "circumstances", "ledger_key"
"""Names of what is stored of a user: their own rules, what they agree to, what the service knows of them, the key of
their hash in the ledger. What they agree to stands by itself, so that the service never writes over it."""

_CACHED: Final = 256
"""Bound lists of rules in memory, of some kilobytes for each thousand items."""


@final
@dataclass(frozen=True)
class Asker:
    """Who asks, as far as the policy tells people apart.

    Attributes:
        policy: with the person's own rules.
        context: as `context_class` says it.
        own: the person's own rules as they are stored; None: those of the file.
    """

    policy: Policy
    context: Context
    own: str | None


@final
@dataclass(frozen=True, eq=False)
class Bound:
    """What binds the answer to a request.

    Attributes:
        user_id: external id; None for a history that came with the request.
        stored: the history of the user.
        history: what may be read of it.
        said: by the request.
        asker: who asks; None without a policy.
        rules: that bind the list; None without a policy.
        moment: as of which windows of the policy are open, Unix seconds.
    """

    user_id: str | None
    stored: UserHistory
    history: UserHistory
    said: Circumstances
    asker: Asker | None
    rules: ListRules | None
    moment: int


@final
class Norms:
    """A policy, bound to the items of a model. Safe to use from several threads.

    Args:
        policy: without conflicts, see `open_norms`.
        catalogue: the items.
        order: "items", rank of each item among equal scores.
        store: holds what people said.
        ledger: where decisions are recorded; None: nowhere.
    """

    def __init__(
        self, policy: Policy, catalogue: PolicyCatalogue, order: Ints, store: EventStore, ledger: Ledger | None = None
    ) -> None:
        self.policy = policy
        self.catalogue = catalogue
        self.ledger = ledger
        self.settings = UserSettings(store)
        self._order = order
        self._store = store
        self._lock = threading.Lock()
        self._bound: OrderedDict[tuple[object, ...], ListRules] = OrderedDict()
        self._own: OrderedDict[str, tuple[Policy, list[int]]] = OrderedDict()
        self._read: weakref.WeakKeyDictionary[UserHistory, tuple[int, bytes, UserHistory]] = weakref.WeakKeyDictionary()
        self._moments = self._moments_of(policy)

    def asker(self, user_id: str | None, said: Circumstances, *, stale: bool = False) -> Asker:
        """Return who asks: what the request says, and else what is stored; `stale`: as it was last read.

        Raises:
            StoreError: the store cannot be read, or was not read of this user before it failed.
        """
        stored = {} if user_id is None else self.settings.of(user_id, stale=stale)
        person: dict[str, Any] = json.loads(stored.get(PERSON, "{}"))
        consents = frozenset(json.loads(stored.get(CONSENTS, "[]"))) if said.consents is None else said.consents
        context = Context(
            person.get("age") if said.age is None else said.age,
            said.region or person.get("region"),
            consents,
            said.role,
        )
        own = stored.get(RULES)
        policy = self.policy_of(own)
        return Asker(policy, context_class(policy, context), own)

    def policy_of(self, own: str | None) -> Policy:
        """Return the policy with a person's own rules as they are stored; None: those of the file."""
        if own is None:
            return self.policy
        with self._lock:
            return self._with_own(own)[0]

    def rules(self, asker: Asker, now: int, n: int) -> ListRules:
        """Return the rules that bind a list of a length at a moment; the same until a window opens or closes."""
        with self._lock:
            moments = self._moments if asker.own is None else self._with_own(asker.own)[1]
            key = asker.own, asker.context, bisect_right(moments, now), n
            found = self._bound.get(key)
            if found is None:
                bound = bind(asker.policy, self.catalogue, asker.context, now, n, "clip")
                found = ListRules(bound, self._order, (self.policy.version, *key))
                self._bound[key] = found
                if len(self._bound) > _CACHED:
                    self._bound.popitem(last=False)
            self._bound.move_to_end(key)
            return found

    def check_own(self, text: str, now: int) -> tuple[Rule, ...]:
        """Return a person's own rules.

        Raises:
            DataError: one cannot be read, or asks for more than a layer above allows; see `own_rules`.
        """
        try:
            return own_rules(text, self.policy, self.catalogue, now)
        except ConfigError as error:
            raise DataError(str(error)) from None
        except RecursionError:
            raise DataError(
                "the rules are nested too deeply; a rule is a mapping of texts, numbers and lists"
            ) from None

    def describe(self, ids: Sequence[str], metadata: ItemMetadata, order: Ints) -> None:
        """Let the rules see the items as they are described now.

        Args:
            ids: of the items of the model.
            metadata: of these.
            order: "items", rank of each item among equal scores.
        """
        with self._lock:
            self.catalogue = self.catalogue.described(ids, metadata)
            self._order = order
            for each in (self._bound, self._own, self._read):
                each.clear()
            self._moments = self._moments_of(self.policy)

    def profiled(self, history: UserHistory, rules: ListRules) -> UserHistory:
        """Return what may be read of a history: without the events that a rule takes out of it.

        Their items are not listed again all the same. What remains is read as of somebody of whom nothing was learned.
        """
        mask = rules.bound.unprofiled
        if not mask.any():
            return history
        key = np.packbits(mask).tobytes()
        version, of, read = self._read.get(history, (-1, b"", history))
        if (version, of) != (history.version, key):
            read = _without(history, mask)
            self._read[history] = history.version, key, read
        return read

    def derived(self, history: UserHistory) -> UserHistory | None:
        """Return and forget what was read of a history in its place."""
        found = self._read.pop(history, None)
        return None if found is None else found[2]

    def applied(
        self, asker: Asker, rules: ListRules, ruled: Ruled, without: Callable[[frozenset[str]], Ruled] | None
    ) -> AppliedPolicy:
        """Return what the policy did to a list; `without` makes it again without some rules, where it is asked."""
        facts = {rule.id: RuleFacts(rule.id, layer, str(rule), rule.why) for layer, rule in asker.policy.rules}
        acted = [
            Acted(facts[one.rule], self._named(one.removed), self._named(one.lifted))
            for one in acts(rules.bound, ruled.plain, ruled.items)
        ]
        decisions = None
        if without is not None:
            every = frozenset(facts)
            made: dict[frozenset[str], Ruled] = {frozenset(): ruled}

            def decided(left_out: frozenset[str]) -> Decision:
                if left_out not in made:
                    made[left_out] = without(left_out)
                each = made[left_out]
                plain = left_out >= every
                return Decision(each.plain if plain else each.items, each.value, each.gap, each.relaxed)

            decisions = tuple(
                ItemDecision(
                    *self._named((one.item,))[0].as_tuple(),
                    one.change,
                    tuple(facts[rule] for rule in one.rules),
                    one.price,
                )
                for one in effects_of(rules.bound, decided)
            )
        return AppliedPolicy(self.policy.name, self.policy.version, tuple(acted), ruled.relaxed, ruled.gap, decisions)

    def record(self, content: Mapping[str, Any], user_id: str | None, own: Mapping[str, str | None]) -> str | None:
        """Append a decision to the ledger and return the id of the line.

        The user, the user's own rules and text stand in it as hashes with a key of the user: without that nobody can
        tell whose line it is, nor try which rules or words they were.

        Args:
            content: see `line_of`.
            user_id: external id; None for a history that came with the request.
            own: texts of the person by their names: the own rules as they are stored, the text about the person.
        """
        if self.ledger is None:
            return None
        said = {"user": user_id, **own}
        who: dict[str, str | None] = dict.fromkeys(said)
        if user_id is not None:
            key = self._key(user_id)
            who = {name: None if text is None else keyed_hash(key, text) for name, text in said.items()}
        return self.ledger.append({**content, "policy": self.policy.version, **who})

    def _key(self, user_id: str) -> str:
        stored = self.settings.of(user_id, stale=True).get(KEY) or self.settings.of(user_id).get(KEY)
        return stored or self._store.add_setting(user_id, KEY, secrets.token_hex(32))

    def _with_own(self, text: str) -> tuple[Policy, list[int]]:
        """Return the policy with a person's own rules, and its moments."""
        found = self._own.get(text)
        if found is None:
            policy = self._readable(text)
            found = self._own[text] = policy, self._moments_of(policy)
            if len(self._own) > _CACHED:
                self._own.popitem(last=False)
        return found

    def _moments_of(self, policy: Policy) -> list[int]:
        """Return the moments at which a rule of a policy begins or ceases to hold for an item, ascending."""
        moments = {moment for moment in (policy.valid_from, policy.valid_until) if moment is not None}
        for _, rule in policy.rules:
            moments |= set(self.catalogue.moments(rule.of, f"rule {rule.id!r}"))
        return sorted(moments)

    def _readable(self, text: str) -> Policy:
        """Return the policy with a person's own rules; without those that it or the catalogue has outgrown since."""
        taken = {rule.id for _, rule in self.policy.with_individual(()).rules}
        kept = []
        for rule in parse_individual(text):
            try:
                self.catalogue.parts(rule.of, 0, rule.id)
            except ConfigError:
                continue
            if rule.id not in taken:
                kept.append(rule)
        return self.policy.with_individual(tuple(kept))

    def _named(self, items: tuple[int, ...]) -> tuple[NamedItem, ...]:
        return tuple(NamedItem(self.catalogue.ids[item], self.catalogue.metadata.titles[item]) for item in items)


def open_norms(
    policy: Policy, catalogue: PolicyCatalogue, order: Ints, store: EventStore, ledger: Ledger | None, now: int
) -> tuple[Norms, tuple[str, ...]]:
    """Return the norms of a policy without conflicts, and the warnings of its check.

    Raises:
        ConfigError: rules contradict each other, or name what the catalogue does not have.
    """
    report = check(policy, catalogue, now)
    if report.conflicts:
        raise ConfigError("; ".join(f"policy {policy.name}: {conflict}" for conflict in report.conflicts))
    return Norms(policy, catalogue, order, store, ledger), report.warnings


def _without(history: UserHistory, mask: Mask) -> UserHistory:
    """Return a history without the events with some items, of a person of whom nothing was learned."""
    timeline = history.timeline
    items = np.array(timeline.items, np.int32)
    hidden = (items >= 0) & mask[np.maximum(items, 0)]
    if not hidden.any():
        return history
    return UserHistory(
        timeline=timeline.keep(~hidden),
        corrections=history.corrections,
        unknown=history.unknown,
        hidden=np.unique(items[hidden]),
        meant=history.meant,
    )
