"""⑫ Everything that a catalog's ranking learns from one split of its log, in order.

A training and an evaluation both call `fit_pipeline`: what is measured is what is served.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from catalog.models import Catalog
from ranking.device import one_thread
from ranking.item_index import ItemIndex
from ranking.loading import bare_state
from ranking.state import RankingState
from ranking.types import InteractionLog
from ranking.user_tower import TowerConfig, UserTower, all_item_vectors
from training.fit_ranker import NETWORKS, RankerLimits, fit_ranker
from training.fit_tower import TowerTraining, fit_tower
from training.handle import RunHandle
from training.recipes import choose_recipes
from training.splits import Split
from training.tuned import better_settings, changed, found_by, in_words


@dataclass(frozen=True)
class Limits:
    """How much is tried; what is found works within it."""

    epochs: int | None = None  # of the tower; None: by the size of the log
    ranker: RankerLimits = field(default_factory=RankerLimits)
    tower: Mapping[str, Any] = field(default_factory=dict)  # settings that a search found

    def with_settings(self, found: Mapping[str, Mapping[str, Any]]) -> "Limits":
        """With the settings that searches found, by branch of training/search_space.py."""
        ranker = replace(
            self.ranker,
            trees=found.get("trees", {}),
            networks={kind: found[kind] for kind in NETWORKS if kind in found},
        )
        return replace(self, ranker=ranker, tower=found.get("tower", {}))


def fit_pipeline(
    handle: RunHandle,
    catalog: Catalog,
    items: ItemIndex,
    log: InteractionLog,
    split: Split,
    limits: Limits = Limits(),
) -> RankingState:
    """Tower, tables and ranker of a catalog; statistics are still to be counted (`as_of`).

    Raises
    ------
    TrainingFault
        Too little to learn from.
    """
    state = fit_sources(handle, catalog, items, log, split, limits)
    with one_thread():
        return fit_ranker(handle, state, log, split, limits.ranker)


def fit_sources(
    handle: RunHandle,
    catalog: Catalog,
    items: ItemIndex,
    log: InteractionLog,
    split: Split,
    limits: Limits = Limits(),
) -> RankingState:
    """What finds candidates: the tower, and the recipes of the tables."""
    if (traits := log.people.traits).pairs:
        told = f"{len(traits.pairs)} traits, of {', '.join(traits.attributes)}"
        handle.log(f"People: {len(log.people.user_ids):,} have some of {told}")
    shape = changed(TowerConfig(len(items), items.text_vectors.shape[1]), limits.tower)
    training = changed(TowerTraining(epochs=limits.epochs), limits.tower)
    tower = fit_tower(handle, items, log, split.tower, split.tower_valid, training, shape)
    with one_thread():
        state = with_tower(bare_state(items, catalog), tower)
        handle.stage("tables of neighbours", 0.5)
        return replace(state, recipes=choose_recipes(handle, state, log, split.valid))


def with_tuned(handle: RunHandle, limits: Limits) -> Limits:
    """With the settings of the searches that the run's parameter `tuned` asks for (`searches`)."""
    wanted = str(handle.parameters.get("tuned", ""))
    if not wanted:
        return limits
    split = str(handle.parameters.get("split", "time"))
    found = better_settings(found_by(handle, wanted, split, "ranker", "tower"))
    if not found:
        handle.log("The search found nothing better than the usual settings; these are taken.")
    for branch, settings in found.items():
        handle.log(f"Settings that the search found: {branch}, {in_words(settings)}")
    return limits.with_settings(found)


def with_tower(state: RankingState, tower: UserTower) -> RankingState:
    """The state with a tower that was trained on its items."""
    items = state.items
    vectors = all_item_vectors(tower, items.text_vectors, items.text_codes, np.arange(len(items)))
    return replace(state, tower=tower, tower_items=vectors)
