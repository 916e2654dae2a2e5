"""⑥ How far the language model leads and how far behaviour does, by how much there is to go by."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ranking.types import FloatArray

TRUSTED_AFTER = 5.0  # purchases' worth of history from which a ranker that was not tried decides


@dataclass(frozen=True)
class Leads:
    """What of a candidate's score is the texts', the sources' and popularity's; else the rankers'.

    Shares stand at knots of `known`, what a person's interactions weigh together, and of `picks`,
    what an item's do, faded by the longest half-life; between knots they run straight, beyond the
    last one they stay. A few numbers: training/fit_leads.py learns them, meta.json keeps them.
    """

    known: tuple[float, ...]  # (P,) ascending, from 0
    picks: tuple[float, ...]  # (I,) ascending, from 0
    text: tuple[tuple[float, ...], ...]  # (P, I) share of the language model alone
    sources: tuple[float, ...]  # (P,) share of the fusion of all sources
    popular: tuple[float, ...]  # (P,) share of what everybody picks lately

    @classmethod
    def led_in(cls, until: float) -> "Leads":
        """The sources lead people in, less and less until `until` purchases' worth is known."""
        if until <= 0:
            return cls((0.0,), (0.0,), ((0.0,),), (0.0,), (0.0,))
        return cls((0.0, until), (0.0,), ((0.0,), (0.0,)), (1.0, 0.0), (0.0, 0.0))

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Leads":
        """As a bundle's meta.json keeps it.

        Older ones have no share of what is popular, only `trusted_after`, or nothing.
        """
        if "leads" not in parameters:
            return cls.led_in(float(parameters.get("trusted_after", TRUSTED_AFTER)))
        told = parameters["leads"]
        text = tuple(tuple(map(float, row)) for row in told["text"])
        lines = (tuple(map(float, told[name])) for name in ("known", "picks", "sources"))
        known, picks, sources = lines
        popular = tuple(map(float, told.get("popular", [0.0] * len(known))))
        return cls(known, picks, text, sources, popular)

    def told(self) -> dict[str, Any]:
        """What `of` reads again, for meta.json."""
        return asdict(self)

    def sources_at(self, known: float) -> float:
        """The share of the sources for a person of whom so much is known."""
        return float(np.interp(known, self.known, self.sources))

    def popular_at(self, known: float) -> float:
        """The share of what is popular for a person of whom so much is known."""
        return float(np.interp(known, self.known, self.popular))

    def text_at(self, known: float, picks: FloatArray) -> FloatArray:
        """The share of the language model for each candidate, by its picks. (N,)"""
        table = np.array(self.text)  # (P, I)
        row = [np.interp(known, self.known, column) for column in table.T]  # (I,)
        return np.asarray(np.interp(picks, self.picks, row), dtype=np.float32)


UNTRIED = Leads.led_in(TRUSTED_AFTER)  # where nothing says better


@dataclass(frozen=True)
class Parts:
    """What the leads weigh for the candidates of one request; each best 1, half in ten places."""

    known: float  # what the person's interactions weigh together
    picks: FloatArray  # (N,) of each candidate, faded
    ranked: FloatArray  # (N,) the order of the rankers
    text: FloatArray | None  # (N,) that of the language model; None without a history
    fused: FloatArray | None  # (N,) that of all sources; None where none found any of them
    popular: FloatArray | None  # (N,) that of popularity, 0 for what nobody picked; or `fused`

    def mixed(self, leads: Leads) -> FloatArray:
        """One score a candidate. (N,) What has nothing to say leaves its share to the rankers."""
        text = leads.text_at(self.known, self.picks)
        return self.weighed(text, leads.sources_at(self.known), leads.popular_at(self.known))

    def weighed(
        self, text_share: FloatArray, sources_share: float, popular_share: float
    ) -> FloatArray:
        """The same with shares that are given: (N,) of the texts, of the sources, of popularity."""
        score = self.ranked
        for share, order in ((sources_share, self.fused), (popular_share, self.popular)):
            if order is not None and share > 0:
                score = score + np.float32(share) * (order - self.ranked)
        if self.text is not None:
            score = score + text_share * (self.text - self.ranked)
        return np.asarray(score, dtype=np.float32)
