"""Rules and the popularity dial, as a request meets them: what is left out, pushed, and pinned."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from catalog.item_filter import FilterError, parse
from catalog.models import Catalog, Rule
from ranking.item_index import ItemIndex
from ranking.item_mask import mask
from ranking.types import FloatArray, IntArray

logger = logging.getLogger(__name__)

POPULARITY_SPREAD = 8.0  # = 2³: three halvings of a score, ten places each; see by_rank


@dataclass(frozen=True)
class LoadedRule:
    """A rule over the rows of an item index."""

    id: int
    kind: str
    rows: NDArray[np.bool_]  # (N,) the items that it means; of a pin, the one
    surface: str  # '' = everywhere
    starts: float  # seconds since the epoch
    ends: float
    factor: float
    position: int  # of a pin, 0 = first

    @property
    def name(self) -> str:
        """What traces call it."""
        return f"rule {self.id} ({self.kind})"


@dataclass(frozen=True)
class Rules:
    """The rules of a catalog, oldest first."""

    loaded: tuple[LoadedRule, ...] = ()

    @classmethod
    def load(cls, catalog: Catalog, items: ItemIndex) -> "Rules":
        """Read them in one query; and each attribute that one names and nobody did before."""
        found = Rule.objects.at_work().filter(catalog=catalog).order_by("pk")
        return cls(tuple(filter(None, (_loaded(rule, items) for rule in found))))

    def holding(self, surface: str, now: float, *kinds: str) -> Iterator[LoadedRule]:
        """Those of these kinds that hold here and now."""
        for rule in self.loaded:
            is_here = rule.kind in kinds and rule.surface in ("", surface)
            if is_here and rule.starts <= now < rule.ends:
                yield rule

    def factors(
        self, rows: IntArray, surface: str, now: float
    ) -> tuple[FloatArray, dict[str, int]]:
        """What boosts and burials multiply scores with, and how many rows each one means. (R,)"""
        factors, meant = np.ones(len(rows), dtype=np.float32), {}
        for rule in self.holding(surface, now, Rule.Kind.BOOST, Rule.Kind.BURY):
            hit = rule.rows[rows]
            factors[hit] *= rule.factor
            meant[rule.name] = int(hit.sum())
        return factors, meant

    def pins(
        self, allowed: NDArray[np.bool_], surface: str, now: float
    ) -> dict[int, tuple[int, str]]:
        """Place → row and rule, of items that may be shown; the newest rule of a place wins."""
        found: dict[int, tuple[int, str]] = {}
        for rule in self.holding(surface, now, Rule.Kind.PIN):
            if (rule.rows & allowed).any():
                row = int(rule.rows.argmax())
                found = {place: pin for place, pin in found.items() if pin[0] != row}
                found[rule.position] = (row, rule.name)
        return dict(sorted(found.items()))


def popularity_factors(popularity: FloatArray, push: float) -> FloatArray:
    """From SPREAD^(−push/2) for the least popular candidate to SPREAD^(push/2). (R,)"""
    places = np.empty(len(popularity), dtype=np.float32)
    places[np.argsort(popularity, kind="stable")] = np.linspace(-0.5, 0.5, len(popularity))
    return np.asarray(POPULARITY_SPREAD ** (push * places), dtype=np.float32)


def _loaded(rule: Rule, items: ItemIndex) -> LoadedRule | None:
    """None where the filter cannot be read any more; the others go on."""
    rows = np.zeros(len(items), dtype=bool)
    if rule.kind == Rule.Kind.PIN:
        row = int(items.rows_of(np.array([rule.item_id]))[0])
        rows[row] = row >= 0
    else:
        try:
            rows = mask(parse(rule.filter), items, time.time())
        except FilterError as fault:
            logger.error("Rule %s is left out: %s", rule.pk, fault)
            return None
    return LoadedRule(
        id=rule.pk,
        kind=rule.kind,
        rows=rows,
        surface=rule.surface,
        starts=_seconds(rule.starts_at, -np.inf),
        ends=_seconds(rule.ends_at, np.inf),
        factor=1.0 if rule.factor is None else rule.factor,
        position=rule.position or 0,
    )


def _seconds(moment: datetime | None, otherwise: float) -> float:
    return otherwise if moment is None else moment.timestamp()
