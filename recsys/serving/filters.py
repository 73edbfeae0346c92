"""What a request wants of the items of its list, beside that they suit the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Filters:
    """Which items may be listed. Filters act before the slate, as exclusion does: the seats are shared among the rest.

    Attributes:
        genres: of which an item has one at least, whatever their capitals; empty: any.
        from_year: the earliest year of the title; an item without a year does not pass. None: any.
        to_year: the latest alike.
        persona: public number of the persona that owns the items; None: any.
        candidates: external ids of the only items that may be listed: they are ranked. None: all may.
    """

    genres: tuple[str, ...] = ()
    from_year: int | None = None
    to_year: int | None = None
    persona: int | None = None
    candidates: tuple[str, ...] | None = None

    @property
    def names_items(self) -> bool:
        """Whether any filter is of the items alone, whoever asks."""
        years = self.from_year is not None or self.to_year is not None
        return bool(self.genres) or years or self.candidates is not None

    @property
    def any(self) -> bool:
        """Whether there is a filter at all."""
        return self.names_items or self.persona is not None


UNFILTERED = Filters()
