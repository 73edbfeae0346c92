"""A small run with titles under a policy, and a service of it."""

from __future__ import annotations

from pathlib import Path

from recsys.events.store import EventStore
from recsys.policy.ledger import Ledger
from recsys.serving.opening import open_answers
from recsys.serving.service import Service
from tests.serving.client import Client, client_of

POLICY = """\
policy: 1
name: cinema
lists: {from: 5, until: 12}
layers:
  - layer: law
    rules:
      - {id: adult, deny: {genre: Crime}, when: {age_below: 18}, why: "Minors are protected."}
      - {id: sensitive, no_profiling: {genre: Romance}, unless: {consent: romance}}
  - layer: organisation
    rules: [{id: old, at_least: 2, of: {before: 1990}}]
  - layer: role
    rules: [{id: one-genre, at_most: 60%, of: each genre}]
"""
EMPTY = "policy: 1\nname: nothing\nlayers: []\n"


def service_under(
    run: Path, store: EventStore, policy: str | None, folder: Path, ledger: Ledger | None = None
) -> Service:
    """Return the service of a run under the text of a policy."""
    file = None
    if policy is not None:
        file = folder / "policy.yaml"
        file.write_text(policy, encoding="utf-8")
    return Service(store, lambda: open_answers(run, store, "memory:", policy=file, ledger=ledger), authenticated=False)


def client_under(
    run: Path, store: EventStore, policy: str | None, folder: Path, ledger: Ledger | None = None
) -> Client:
    """Return a client of such a service."""
    return client_of(service_under(run, store, policy, folder, ledger))
