"""A process that appends batches to a store: python store_writer.py ADDRESS NAME FIRST LAST.

It opens the store, says so with an empty line, and waits for a line. It writes the number of a batch to standard output
when, and only when, the store has confirmed it.
"""

from __future__ import annotations

import sys

from recsys.events.addresses import open_store
from recsys.events.store import Event

SIZE = 5


def batch(name: str, number: int) -> list[Event]:
    """Events of one writer, and one that all writers send."""
    own = [Event(f"{name}-{number}-{at}", f"user-{at}", f"item-{number}", at + 0.1, number) for at in range(SIZE - 1)]
    return [*own, Event(f"common-{number}", "everybody", "item", 1.0, number)]


if __name__ == "__main__":
    address, name = sys.argv[1:3]
    with open_store(address) as store:
        print(flush=True)  # noqa: T201
        sys.stdin.readline()
        for number in range(int(sys.argv[3]), int(sys.argv[4])):
            store.append(batch(name, number))
            print(number, flush=True)  # noqa: T201
