"""What a request says of who asks, and how it wants to be answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Circumstances:
    """What a request says; what it leaves out is taken from what is stored of the user.

    Attributes:
        age: in years.
        region: as the policy writes regions.
        consents: purposes to which the person has agreed.
        role: what the service acts as.
        profiling: whether the history may be read; without, the list is that of somebody new.
        decisions: whether the answer tells of each removed and lifted item by which rules it is so.
        recorded: whether the decision is recorded in the ledger.
        moment: as of which windows of the policy are open; None: that of the request.
        of_text: whether the list may be of the text that the person wrote.
    """

    age: int | None = None
    region: str | None = None
    consents: frozenset[str] | None = None
    role: str | None = None
    profiling: bool = True
    decisions: bool = False
    recorded: bool = False
    moment: int | None = None
    of_text: bool = True

    @property
    def any(self) -> bool:
        """Whether the request says anything of who asks."""
        return (self.age, self.region, self.consents, self.role) != (None, None, None, None)


UNSTATED = Circumstances()
