"""Ids of lists, by which it is said later what of them was shown and clicked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

from recsys.events.impressions.records import Variant
from recsys.explanations import Explanation

_OTHER = re.compile("[^0-9A-Za-z_.]")


def list_id(user_id: str, model: str, variant: Variant, now: int, items: Iterable[Explanation]) -> str:
    """Return the id of a list for a user: a digest of what it is, the variant, and the model that made it.

    It is no random number, so that an answer of one second is the same answer twice.
    """
    said = "\n".join([user_id, model, str(now), *(str(one.item_id) for one in items)])
    digest = blake2b(said.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{digest}-{variant}-{_OTHER.sub('_', model)[:64] or '_'}"
