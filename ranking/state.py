"""Everything in memory that ranks for one catalog, at one moment; never changed, only replaced."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ranking.affinity import Affinity
from ranking.context import Lenders
from ranking.covisitation import CoVisitation
from ranking.ease import Ease
from ranking.item_index import ItemIndex
from ranking.neighbours import Neighbours
from ranking.offers import OfferResponse
from ranking.personalizer import Personalizer
from ranking.popularity import Popularity
from ranking.rankers.ensemble import Ranker
from ranking.rankers.leads import UNTRIED, Leads
from ranking.repurchase import Repurchase
from ranking.rules import Rules
from ranking.types import FloatArray, IntArray, InteractionLog
from ranking.user_tower import UserTower

Recipe = CoVisitation | Ease  # how a table of neighbours is made from a log


def usual_recipes() -> dict[str, Recipe]:
    """The tables by the source that reads them, as they are made where nothing was tuned."""
    return {
        "covisit": CoVisitation(),
        "markov": CoVisitation(window=10, step_fading=0.9, reverse=0.0, damping=0.2),
        "ease": Ease(),
    }


def recipe_of(values: dict[str, Any]) -> Recipe:
    """A recipe from its fields, as a bundle's meta.json keeps them."""
    return Ease(**values) if "reg" in values else CoVisitation(**values)


ALIKE_TEXT = 0.97  # cosine of two texts from which they say the same
SAME_TEXT = 0.999  # of two texts that are the same but for white space
NO_DUPLICATE = 1.01  # above any cosine: nothing is dropped


@dataclass(frozen=True)
class RankingState:
    """Items, what is known of them, and the models; all arrays follow the item index's rows."""

    items: ItemIndex
    popularity: Popularity
    repurchase: Repurchase
    response: OfferResponse
    affinity: Affinity
    repeat_consumption: bool
    item_half_life_days: float | None
    diversity: float  # λ of MMR
    popularity_push: float = 0.0  # towards what is popular (1) or away from it (−1)
    exploration: float = 0.0  # ε: share of places given by chance
    rules: Rules = field(default_factory=Rules)  # none while training: it measures the models
    event_values: tuple[float, ...] = ()  # the catalog's weight of each interaction type, by code
    recipes: dict[str, Recipe] = field(default_factory=usual_recipes)
    neighbours: dict[str, Neighbours] = field(default_factory=dict)  # by source, as the recipes
    tower: UserTower | None = None
    tower_items: FloatArray | None = None  # (N, d) items as the tower sees them
    ranker: Ranker | None = None
    leads: Leads = UNTRIED  # how far texts, sources and popularity stand beside the ranker
    near_duplicate: float = ALIKE_TEXT  # cosine of texts from which one of two items is dropped
    personalizer: Personalizer | None = None  # learned to re-order the head
    personal_on: bool = True  # and does; off where it is not surely better than the ranker's order
    lenders: Lenders | None = None  # other catalogs whose histories help newcomers
    first_day: bool = False  # no model learned from texts as they are: `similar` tells them apart
    bundle_id: str = ""  # '' = no bundle: encoder and popularity only

    def popular_with(self, traits: IntArray) -> FloatArray:
        """How popular each item is with newcomers who have traits of these rows. (T,) → (N,)"""
        if len(traits) == 0:
            return self.popularity.for_newcomers
        return self.popularity.for_newcomers * np.exp(self.affinity.lift(traits))

    def as_of(self, log: InteractionLog, moment: float) -> "RankingState":
        """The same models with the statistics that were known at this moment."""
        size = len(self.items)
        return replace(
            self,
            popularity=Popularity.fit(log, size, moment),
            repurchase=Repurchase.fit(log, size, moment),
            response=OfferResponse.fit(log, self.items.offers, size, moment),
            affinity=Affinity.fit(log, size, moment),
            neighbours={name: made.fit(log, size, moment) for name, made in self.recipes.items()},
        )
