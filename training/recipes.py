"""Which recipe of a table of neighbours finds best what people pick next."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ranking.ease import Ease
from ranking.state import RankingState, Recipe, usual_recipes
from ranking.types import InteractionLog
from training.handle import RunHandle
from training.scoring import FoldRequests, scorer_of
from training.splits import Fold

FADINGS = (1.0, 2.0, 4.0, 10.0, 1e9)  # steps; the last: an old pick counts like a new one


def choose_recipes(
    handle: RunHandle, state: RankingState, log: InteractionLog, fold: Fold
) -> dict[str, Recipe]:
    """For each source that reads a table: the recipe with the best nDCG@10 on this fold."""
    requests = FoldRequests(state, log, fold, handle.seed)
    chosen = {}
    for name, usual in usual_recipes().items():
        chosen[name], quality = best_recipe(usual, requests, handle.check)
        handle.log(f"Source {name}: {chosen[name]}, nDCG@10 {quality:.4f} by itself")
    return chosen


def best_recipe(
    usual: Recipe, requests: FoldRequests, check: Callable[[], None]
) -> tuple[Recipe, float]:
    """The best recipe that one thing changed after another leads to, and its nDCG@10."""
    best, quality = usual, -1.0
    size = len(requests.state.items)
    for changes in axes(usual):
        start = best
        for change in changes:
            check()
            recipe = replace(start, **change)
            table = recipe.fit(requests.known, size, requests.now)
            for fading in FADINGS:
                found = requests.ndcg(scorer_of(replace(table, fading=fading)))
                if found > quality:
                    best, quality = replace(recipe, fading=fading), found
    return best, quality


def axes(usual: Recipe) -> list[list[dict[str, Any]]]:
    """What is changed about a recipe, axis by axis; {} leaves it as it is."""
    if isinstance(usual, Ease):
        return [[{}, {"reg": 50.0}, {"reg": 800.0}, {"reg": 3_000.0}]]
    return [
        [{}, *({"damping": power} for power in (0.0, 0.4, 0.6))],
        [
            {"window": 1, "step_fading": 1.0},
            {"window": 5, "step_fading": 0.7},
            {"window": 20, "step_fading": 0.95},
        ],
        [{"own_damping": 0.25}, {"own_damping": 1.0}],
        [{"half_life_days": 30.0}, {"half_life_days": 1e6}],
    ]
