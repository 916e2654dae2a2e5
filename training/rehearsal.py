"""⑭ A rehearsal of a bundle on this machine: smoke queries, and its time beside the live model's.

What it finds is kept in the version's metrics as `rehearsal`, so that the gate only reads. It takes
seconds: two bundles are loaded. A training does it when it registers its model; the page and the
command that promote do it again where another model has gone live since.
"""

import logging
import statistics
import time
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone
from safetensors import SafetensorError

from catalog.models import Catalog, EncoderVersion, Interaction, Item
from ranking.device import one_thread
from ranking.errors import RankingFault
from ranking.pipeline import recommend_with, search_with
from ranking.serving import current, load_state
from ranking.state import RankingState
from ranking.types import Query, Slate
from training.gate import rehearsal_beside
from training.models import ModelVersion

logger = logging.getLogger(__name__)

PEOPLE = 20  # who came last
WARM_UP = 2  # requests that are not timed
RECENT = 2_000  # interactions in which they are looked for
# What a bundle raises whose files are sound but do not hold what is needed to serve from it.
UNFIT = (RankingFault, KeyError, ValueError, TypeError, RuntimeError, SafetensorError)

Loaded = tuple[RankingState, EncoderVersion | None]


def try_if_needed(version: ModelVersion, live: ModelVersion | None) -> None:
    """Have a rehearsal unless the version had one beside the model that is live now."""
    champion = live if live is not None and live.pk != version.pk else None
    if rehearsal_beside(version.metrics, champion) is None:
        try_out(version, champion)


def try_out(version: ModelVersion, champion: ModelVersion | None) -> None:
    """Have a rehearsal, and keep what came out in the metrics, which somebody else may write to."""
    beside = champion.bundle_id if champion is not None else ""
    rehearsal = tried(version.catalog, version.bundle_id, beside)
    with transaction.atomic():
        row = ModelVersion.objects.select_for_update().get(pk=version.pk)
        row.metrics["rehearsal"] = rehearsal
        row.save(update_fields=["metrics"])
    version.metrics["rehearsal"] = rehearsal


@one_thread()
def tried(catalog: Catalog, bundle_id: str, champion: str) -> dict[str, Any]:
    """Load a bundle and the live one, and ask both; `champion` is '' where none is live."""
    rehearsal: dict[str, Any] = {
        "champion": champion,
        "at": timezone.now().isoformat(timespec="seconds"),
        "asked": 0,
        "people": 0,
        "ms": None,
        "champion_ms": None,
        "faults": [],
    }
    live = _live(catalog, champion)
    try:
        loaded = load_state(catalog, bundle_id, (live[0].items, live[1]) if live else None)
    except UNFIT as fault:
        return rehearsal | {"faults": [f"It cannot be loaded: {fault}"]}
    rehearsal |= _asked(catalog, loaded)
    if live and not rehearsal["faults"]:
        rehearsal |= _timed(catalog, loaded, live)
    return rehearsal


def _live(catalog: Catalog, champion: str) -> Loaded | None:
    """The live model: as it is in this process already, or loaded; None where there is none."""
    if not champion:
        return None
    try:
        loaded = current(catalog)
        return loaded if loaded[0].bundle_id == champion else load_state(catalog, champion)
    except UNFIT:  # it has lost its files: nothing to be slower than
        return None


def _asked(catalog: Catalog, loaded: Loaded) -> dict[str, Any]:
    """Smoke queries: known people, a guest, and a search for a thing that is there."""
    state, encoder = loaded
    if not state.items.available.any():
        return {}  # nothing to show: an empty answer is the right one
    faults = []
    people = recent_people(catalog)
    queries = [("Somebody known", _query(catalog, person)) for person in people]
    queries.append(("A guest", _query(catalog, None)))
    best = int(np.argmax(np.where(state.items.available, state.popularity.blend, -np.inf)))
    title = Item.objects.values_list("title", flat=True).get(pk=int(state.items.ids[best]))
    queries.append((f"A search for “{title}”", _query(catalog, None, title)))
    for who, query in queries:
        try:
            slate = _answer(query, catalog, state, encoder)
        except Exception as fault:  # whatever it is, it must not go live
            logger.exception("A smoke query of %s failed.", state.bundle_id)
            faults.append(f"{who} got an error: {type(fault).__name__}: {fault}.")
            continue
        if not slate.items and _could_show(slate):
            faults.append(f"{who} got an empty answer.")
        elif Item.objects.filter(pk__in=slate.item_ids, available=False).exists():
            faults.append(f"{who} got something that is unavailable.")
    return {"asked": len(queries), "faults": sorted(set(faults))}


def _timed(catalog: Catalog, loaded: Loaded, live: Loaded) -> dict[str, Any]:
    """Median ms of a request, by turns with the live model, so that both meet the same load."""
    people = recent_people(catalog)
    if not people:
        return {}
    states = (loaded, live)
    took: tuple[list[float], list[float]] = ([], [])
    for person in [*people[:WARM_UP], *people]:
        for (state, encoder), times in zip(states, took, strict=True):
            began = time.perf_counter()
            _answer(_query(catalog, person), catalog, state, encoder)
            times.append((time.perf_counter() - began) * 1e3)
    ours, theirs = (round(statistics.median(times[-len(people) :]), 3) for times in took)
    return {"people": len(people), "ms": ours, "champion_ms": theirs}


def recent_people(catalog: Catalog) -> list[int]:
    """Ids of the people who came last, the newest first."""
    newest = Interaction.objects.filter(catalog=catalog, is_suspected=False).order_by("-timestamp")
    users = newest.values_list("user_id", flat=True)[:RECENT]
    return list(dict.fromkeys(users))[:PEOPLE]


def _could_show(slate: Slate) -> bool:
    """Whether the rules left anything to recommend: not to who has seen it all."""
    return next((stage.left > 0 for stage in slate.stages if stage.name == "allowed"), True)


def _query(catalog: Catalog, person: int | None, text: str = "") -> Query:
    return Query(catalog.slug, user_id=person, surface="rehearsal", text=text, log=False)


def _answer(
    query: Query, catalog: Catalog, state: RankingState, encoder: EncoderVersion | None
) -> Slate:
    return (search_with if query.text else recommend_with)(query, catalog, state, encoder)
