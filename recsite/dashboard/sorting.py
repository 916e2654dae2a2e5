"""Sortable tables: the order stands in the address, each head is a link, `aria-sort` says it."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import QueryDict
from django.utils.translation import gettext as _

DOWN = "-"


@dataclass(frozen=True)
class Head:
    """The head of one column."""

    words: str
    query: str = ""  # of the address that sorts by it; '' = it cannot be sorted by
    aria_sort: str = "none"  # none, ascending, descending
    is_number: bool = False


@dataclass(frozen=True)
class Sorting:
    """By which column, and which way."""

    key: str
    descending: bool

    @classmethod
    def of(cls, asked: str, columns: Mapping[str, str], usual: str) -> "Sorting":
        """As the address says, `-` for descending; the usual one where that is nonsense."""
        chosen = asked if asked.removeprefix(DOWN) in columns else usual
        return cls(chosen.removeprefix(DOWN), chosen.startswith(DOWN))

    def heads(
        self,
        columns: Mapping[str, str],
        query: QueryDict,
        texts: tuple[str, ...] = (),
        moments: tuple[str, ...] = (),
    ) -> list[Head]:
        """The heads of the columns (key → words in English).

        Those in `texts` begin with their first letter, `moments` with the newest, numbers with the
        largest. The rest of the address is kept, but for the page number.
        """
        heads = []
        for key, words in columns.items():
            chosen = key == self.key
            down = not self.descending if chosen else key not in texts
            other = query.copy()
            other.pop("page", None)
            other["sort"] = DOWN + key if down else key
            way = ("descending" if self.descending else "ascending") if chosen else "none"
            is_number = key not in texts and key not in moments
            heads.append(Head(_(words), other.urlencode(), way, is_number))
        return heads
