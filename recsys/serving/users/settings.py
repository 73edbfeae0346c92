"""What users said beside events: texts, circumstances, rules of their own, answers that they confirmed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, final

from recsys.events.store import EventStore, user_hash

_CACHED: Final = 10_000
"""Users, of most of whom nothing is stored."""


@final
class UserSettings:
    """The settings of users in a store, and in memory as they were read last. May be asked from several threads.

    Args:
        store: holds them.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._read: OrderedDict[str, tuple[int, Mapping[str, str]]] = OrderedDict()  # version and texts, by hash

    def of(self, user_id: str, version: int | None = None, *, stale: bool = False) -> Mapping[str, str]:
        """Return the texts that are stored of a user, by name.

        Args:
            user_id: external id.
            version: of all settings; what was read in it is not read again. None: read them now.
            stale: return what was read last, whenever that was.

        Raises:
            StoreError: the store cannot be read; with `stale`: and was not before, or not of late.
        """
        key = user_hash(user_id)
        with self._lock:
            before, texts = self._read.get(key, (-1, None))
            if texts is not None and (stale or before == version):
                self._read.move_to_end(key)
                return texts
        texts = self._store.settings(user_id)
        with self._lock:
            self._read[key] = before if version is None else version, texts
            self._read.move_to_end(key)
            if len(self._read) > _CACHED:
                self._read.popitem(last=False)
        return texts

    def forget(self, hashed: str) -> None:
        """Remove what was read of an erased user, whose id has this `user_hash`."""
        with self._lock:
            self._read.pop(hashed, None)
