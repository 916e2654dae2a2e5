"""From a bundle to a state: its models and tables over the items that there are today."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from safetensors.torch import load_model

from catalog.models import Catalog
from ranking import features
from ranking.affinity import Affinity
from ranking.bundle import Bundle
from ranking.context import TYPE_CODES
from ranking.item_index import ItemIndex
from ranking.neighbours import Neighbours
from ranking.offers import OfferResponse
from ranking.personalizer import NO_TOKEN, PersonalConfig, Personalizer
from ranking.popularity import Popularity
from ranking.rankers.ensemble import Ensemble, Ranker
from ranking.rankers.gbdt import GbdtRanker
from ranking.rankers.leads import Leads
from ranking.rankers.network import NetworkConfig, NetworkRanker
from ranking.repurchase import Repurchase
from ranking.sources import union
from ranking.state import ALIKE_TEXT, RankingState, recipe_of, usual_recipes
from ranking.traits import Traits
from ranking.types import FloatArray, IntArray
from ranking.user_tower import TowerConfig, UserTower, all_item_vectors


def bare_state(items: ItemIndex, catalog: Catalog) -> RankingState:
    """No models, nothing counted yet: with popularity, how a catalog answers before any bundle."""
    nothing = Popularity.nothing(len(items))
    unknown, response = Repurchase.unknown(len(items)), OfferResponse.unknown(len(items))
    affinity = Affinity.unknown(len(items))
    return RankingState(items, nothing, unknown, response, affinity, **dials_of(catalog))


class Dials(TypedDict):
    """The fields of a state that are the catalog's own."""

    event_values: tuple[float, ...]
    repeat_consumption: bool
    item_half_life_days: float | None
    diversity: float
    popularity_push: float
    exploration: float


def with_dials(state: RankingState, catalog: Catalog) -> RankingState:
    """The same models by the weights and dials of this catalog, which need not be saved."""
    dials, ranker = dials_of(catalog), state.ranker
    if isinstance(ranker, Ensemble):
        ranker = ranker.revalued(dials["event_values"])
    return replace(state, ranker=ranker, **dials)


def dials_of(catalog: Catalog) -> Dials:
    """What the catalog's row says about ranking; read again at each refresh."""
    return {
        "event_values": tuple(catalog.event_weights.get(name, 0.0) for name in TYPE_CODES),
        "repeat_consumption": catalog.repeat_consumption,
        "item_half_life_days": catalog.item_half_life_days,
        "diversity": catalog.diversity,
        "popularity_push": catalog.popularity_push,
        "exploration": catalog.exploration,
    }


def state_from_bundle(bundle: Bundle, items: ItemIndex, catalog: Catalog) -> RankingState:
    """A bundle's models over today's items: its rows are moved to the index's rows."""
    tables = load_file(bundle.file("tables.safetensors"))
    place = items.rows_of(tables["item_ids"])  # (M,) rows of the bundle's items today, −1 = gone
    here = place >= 0
    popularity = replace(
        Popularity.nothing(len(items)), as_of=float(bundle.meta.parameters["as_of"])
    )
    popularity.counts[:, place[here]] = tables["popularity"][:, here]
    for name, column in (
        ("first", popularity.first),
        ("first_visit_counts", popularity.first_visit_counts),
    ):
        if name in tables:  # not in bundles of before it was kept
            column[place[here]] = tables[name][here]
    repurchase, response = Repurchase.unknown(len(items)), OfferResponse.unknown(len(items))
    for name, counted in (("repurchase", repurchase), ("offer_response", response)):
        if name in tables:  # not in bundles of before it was counted
            counted.columns[place[here]] = tables[name][here]
    tower = load_tower(bundle)
    tower_items = _tower_items(tower, items, place)
    recipes = bundle.meta.parameters.get("recipes", {})  # none in bundles of before they were tuned
    state = RankingState(
        items,
        popularity,
        repurchase,
        response,
        _affinity(bundle, tables, place, len(items)),
        recipes={name: recipe_of(values) for name, values in recipes.items()} or usual_recipes(),
        neighbours={
            name: table.moved(place, len(items)) for name, table in _neighbours(bundle, tables)
        },
        tower=tower,
        tower_items=tower_items,
        ranker=_ranker(bundle, tower_items),
        personalizer=_personalizer(bundle, tables, place, tower_items, len(items)),
        personal_on=bundle.meta.parameters.get("personal_on", True),
        near_duplicate=bundle.meta.parameters.get("near_duplicate", ALIKE_TEXT),
        leads=Leads.of(bundle.meta.parameters),
        bundle_id=bundle.id,
        **dials_of(catalog),
    )
    return with_dials(state, catalog)


def _affinity(
    bundle: Bundle, tables: dict[str, NDArray[Any]], place: IntArray, size: int
) -> Affinity:
    """What the traits of people tell; nothing in bundles of before they were read."""
    affinity = Affinity.unknown(size)
    if told := bundle.meta.parameters.get("traits"):
        here = place >= 0
        affinity = Affinity.unknown(size, Traits.read(told))
        affinity.table[:, place[here]] = tables["affinity"][:, here]
        affinity.mean[:, place[here]] = tables["mean_affinity"][:, here]
    return affinity


def _neighbours(
    bundle: Bundle, tables: dict[str, NDArray[Any]]
) -> Iterator[tuple[str, Neighbours]]:
    """The tables of neighbours by source, over the bundle's own rows."""
    for name, recipe in bundle.meta.parameters.get("recipes", {}).items():
        table = (tables[f"{name}.rows"], tables[f"{name}.weights"])
        yield name, Neighbours(*table, recipe["fading"])
    if "neighbours" in tables:  # as bundles were written when there was one table
        yield "covisit", Neighbours(tables["neighbours"], tables["weights"], 10.0)


def _ranker(bundle: Bundle, vectors: FloatArray | None) -> Ensemble:
    """The rankers and their shares; without the networks where items have no vectors now. (N, d)"""
    names = features.names(union.NAMES)
    told = bundle.meta.parameters.get("rankers", {"shares": {"gbdt": 1.0}, "networks": {}})
    members: dict[str, Ranker] = {}
    for name in told["shares"]:
        if name == "gbdt":
            members[name] = GbdtRanker.load(bundle.file("ranker.ubj"), names)
        elif vectors is not None:
            config = NetworkConfig(**told["networks"][name])
            path = bundle.file(f"{name}.safetensors")
            members[name] = NetworkRanker.load(path, config, names, vectors)
    return Ensemble(members, {name: told["shares"][name] for name in members})


def _personalizer(
    bundle: Bundle,
    tables: dict[str, NDArray[Any]],
    place: IntArray,
    vectors: FloatArray | None,
    size: int,
) -> Personalizer | None:
    """The personal model over today's items; None where there is none, or vectors are missing."""
    told = bundle.meta.parameters.get("personalizer")
    if told is None or vectors is None:
        return None
    words = np.full((size, tables["words"].shape[1]), NO_TOKEN, dtype=np.int32)
    words[place[place >= 0]] = tables["words"][place >= 0]
    config = PersonalConfig(**told | {"features": tuple(told["features"])})
    path = bundle.file("personalizer.safetensors")
    return Personalizer.load(path, config, features.names(union.NAMES), vectors, words)


def load_tower(bundle: Bundle) -> UserTower:
    """The tower's network, in evaluation mode."""
    tower = UserTower(TowerConfig(**bundle.meta.parameters["tower"]))
    load_model(tower, bundle.file("tower.safetensors"))
    return tower.eval()


def _tower_items(tower: UserTower, items: ItemIndex, place: IntArray) -> FloatArray | None:
    """Items as the tower sees them; None if the vectors are another encoder's. (N, d)"""
    if items.text_vectors.shape[1] != tower.config.vector_size:
        return None
    rows = rows_in_tower(tower, place, len(items))
    return all_item_vectors(tower, items.text_vectors, items.text_codes, rows)


def rows_in_tower(tower: UserTower, place: IntArray, size: int) -> IntArray:
    """Of each of `size` items the row of its id vector; `item_count` where it has none. (N,)

    place (M,) the row today of each item that the tower was trained on, −1 = gone.
    """
    rows = np.full(size, tower.config.item_count, dtype=np.int64)  # unknown: no id vector
    here = place >= 0
    rows[place[here]] = np.flatnonzero(here)
    return rows
