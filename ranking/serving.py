"""The current bundle of each catalog in this process: load, hot swap, fall back.

Each request reads one row, the catalog's, and compares its pointers with what is in memory. A new
bundle or changed items are loaded by a thread beside the requests, which go on with what is there;
then one assignment swaps. A bundle that cannot be opened is refused, the old one stays.
"""

import copy
import json
import logging
import threading
import time
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from django.db import DatabaseError, connection

from catalog.models import Catalog, EncoderVersion
from ranking.bundle import Bundle, BundleError, open_bundle
from ranking.context import Lenders
from ranking.encoder import load_configured, query_vector
from ranking.errors import RankingFault
from ranking.item_index import ItemIndex
from ranking.loading import bare_state, dials_of, state_from_bundle, with_dials
from ranking.popularity import FIRST_VISIT, FIRST_VISIT_HALF_LIFE, HALF_LIVES, Popularity
from ranking.rules import Rules
from ranking.state import RankingState
from ranking.types import DAY, FloatArray

logger = logging.getLogger(__name__)

POPULARITY_EVERY = 30.0  # seconds between two counts of what is popular
FADED = 1_000.0  # half-lives; PostgreSQL refuses to multiply down to where a float ends
REST = 3.0  # after a load, wait this many times as long as it took
# Of each item since the bundle: sums of weights, one a half-life, those on first visits, and the
# first interaction. A newcomer is who did nothing before.
COUNTS_SQL = """
WITH since AS (
    SELECT item_id, user_id, "timestamp",
           greatest((%(weights)s::jsonb ->> type)::float8, 0) AS weight,
           (%(now)s - extract(epoch FROM "timestamp")::float8) / 86400 AS age
    FROM catalog_interaction
    WHERE catalog_id = %(catalog)s AND NOT is_suspected
      AND "timestamp" >= to_timestamp(%(since)s) AND "timestamp" < to_timestamp(%(now)s)
), newcomer AS (
    SELECT user_id, min("timestamp") AS began FROM since GROUP BY user_id
    HAVING NOT EXISTS (
        SELECT FROM catalog_interaction earlier
        WHERE earlier.user_id = since.user_id AND earlier.catalog_id = %(catalog)s
          AND NOT earlier.is_suspected AND earlier."timestamp" < to_timestamp(%(since)s)
    )
)
SELECT item_id, {sums},
       coalesce({first_visits} FILTER (WHERE "timestamp" < began + {visit:f} * interval '1 s'), 0),
       extract(epoch FROM min("timestamp"))::float8
FROM since LEFT JOIN newcomer USING (user_id) GROUP BY item_id
"""


@dataclass
class _Slot:
    """What this process holds for one catalog."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    state: RankingState | None = None
    encoder: EncoderVersion | None = None
    items_version: int = -1
    rules_version: int = -1
    refused: str | None = None  # a bundle id that could not be opened
    failed: str | None = None  # a bundle id that could be opened, but not loaded
    counted_at: float = 0.0  # monotonic seconds
    not_before: float = 0.0  # monotonic seconds: no load sooner


_slots: dict[int, _Slot] = {}
_challengers: dict[int, _Slot] = {}  # of the catalogs in which one is being rolled out
_slots_lock = threading.Lock()


def current(catalog: Catalog) -> tuple[RankingState, EncoderVersion | None]:
    """What to rank with now; loads where there is nothing yet, refreshes beside later requests."""
    with _slots_lock:
        slot = _slots.setdefault(catalog.pk, _Slot())
        if not catalog.challenger_share:
            _challengers.pop(catalog.pk, None)  # its roll-out is over: so is its memory
    if _shows_nothing(catalog, slot):
        with slot.lock:
            if _shows_nothing(catalog, slot):
                _refresh(catalog, slot)
    else:
        _keep_fresh(catalog, slot)
    assert slot.state is not None
    return slot.state, slot.encoder


def challenging(catalog: Catalog) -> tuple[RankingState, EncoderVersion | None]:
    """What the challenger's share of the people is ranked with, after `current` was asked.

    Until its bundle is in memory, and when it was refused, that is the live bundle's state: its
    `bundle_id` tells.
    """
    with _slots_lock:
        live = _slots[catalog.pk]
        begin = _Slot(
            state=live.state,
            encoder=live.encoder,
            items_version=live.items_version,
            rules_version=live.rules_version,
        )
        slot = _challengers.setdefault(catalog.pk, begin)
    as_live = copy.copy(catalog)
    as_live.live_bundle = catalog.challenger_bundle
    _keep_fresh(as_live, slot)
    if catalog.challenger_bundle in (slot.refused, slot.failed):
        fault = "A web process could not load its files; its log says why."
        catalog.withdraw_challenger(catalog.challenger_bundle, fault)
    assert slot.state is not None
    return slot.state, slot.encoder


def load_state(
    catalog: Catalog, bundle_id: str, items: tuple[ItemIndex, EncoderVersion | None] | None = None
) -> tuple[RankingState, EncoderVersion | None]:
    """Any bundle, loaded anew over today's items; `items` with that encoder's vectors are shared.

    Raises
    ------
    RankingFault
        The bundle cannot be opened.
    """
    bundle = open_bundle(bundle_id, catalog.slug)
    encoder = encoder_of(bundle, catalog)
    known = items[0] if items and items[1] == encoder else ItemIndex.load(catalog, encoder)
    state = state_from_bundle(bundle, known, catalog)
    state = replace(
        state,
        popularity=_count(catalog, state.popularity, known),
        lenders=_lenders(catalog, encoder),
        rules=Rules.load(catalog, known),
    )
    return state, encoder


def _keep_fresh(catalog: Catalog, slot: _Slot) -> None:
    """Refresh a slot beside the requests, if it is old and nobody is at it."""
    if _is_old(catalog, slot) and slot.lock.acquire(blocking=False):
        threading.Thread(target=_refresh_beside, args=(catalog, slot), daemon=True).start()


def _shows_nothing(catalog: Catalog, slot: _Slot) -> bool:
    """Whether it is better to wait than to answer with what is there."""
    if slot.state is None:
        return True
    return len(slot.state.items) == 0 and slot.items_version != catalog.items_version


def prepare_process() -> None:
    """For a web process at its start: one compute thread, and everything loaded beside the pages.

    Several processes of two threads each on busy cores wait for one another, a hundred times longer
    than the work takes.
    """
    torch.set_num_threads(1)
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()


def _warm_up() -> None:
    try:
        for catalog in Catalog.objects.ready():
            _, encoder = current(catalog)
            if encoder is not None:
                vector_of_query("warm up", encoder)
    except DatabaseError:  # no database yet: the first request will load instead
        logger.warning("Nothing was loaded ahead of the first request.", exc_info=True)
    finally:
        connection.close()


def refusal(catalog: Catalog) -> str:
    """The live bundle's id if this process refused it, else ''."""
    slot = _slots.get(catalog.pk)
    return catalog.live_bundle if slot and slot.refused == catalog.live_bundle else ""


def forget_all() -> None:
    """Let go of everything that is in memory; tests and forks start anew."""
    with _slots_lock:
        _slots.clear()
        _challengers.clear()


def vector_of_query(text: str, encoder: EncoderVersion) -> FloatArray | None:
    """The query's vector; None where the encoder cannot be loaded, so that words still find."""
    try:
        return query_vector(text, encoder)
    except RankingFault as fault:
        logger.warning("Searching by words alone: %s", fault)
        return None


def _is_old(catalog: Catalog, slot: _Slot) -> bool:
    assert slot.state is not None
    swap = catalog.live_bundle not in (slot.state.bundle_id, slot.refused)
    now = time.monotonic()
    items = slot.items_version != catalog.items_version and now >= slot.not_before
    rules = slot.rules_version != catalog.rules_version and now >= slot.not_before
    return swap or items or rules or now - slot.counted_at > POPULARITY_EVERY


def _refresh_beside(catalog: Catalog, slot: _Slot) -> None:
    """`_refresh` in a thread; the caller has taken the lock."""
    try:
        _refresh(catalog, slot)
    except Exception as fault:  # the old state goes on answering; try again after a rest
        if not isinstance(fault, DatabaseError):
            slot.failed = catalog.live_bundle
        logger.exception("Refreshing catalog %s failed; the old state stays.", catalog.slug)
        slot.counted_at, slot.not_before = time.monotonic(), time.monotonic() + POPULARITY_EVERY
    finally:
        connection.close()
        slot.lock.release()


def _refresh(catalog: Catalog, slot: _Slot) -> None:
    """Bring a slot up to date with its catalog's row: items, bundle, popularity."""
    began = time.monotonic()
    old = slot.state
    same_items = old is not None and slot.items_version == catalog.items_version
    same_weights = old is not None and old.event_values == dials_of(catalog)["event_values"]
    same_bundle = old is not None and catalog.live_bundle in (old.bundle_id, slot.refused)
    if old is not None and same_items and same_bundle and same_weights:
        state = with_dials(old, catalog)  # only time has passed, or a dial was turned
    else:
        bundle = _open(catalog, slot, old)
        encoder = encoder_of(bundle, catalog)
        if old is not None and same_items and encoder == slot.encoder:
            items = old.items
        else:
            items = ItemIndex.load(catalog, encoder)
        slot.encoder = encoder
        if bundle:
            state = state_from_bundle(bundle, items, catalog)
        else:
            state = replace(bare_state(items, catalog), first_day=items.common is not None)
    slot.state = replace(
        state,
        popularity=_count(catalog, state.popularity, state.items),
        lenders=_lenders(catalog, slot.encoder),
        rules=Rules.load(catalog, state.items),
    )
    slot.items_version, slot.rules_version = catalog.items_version, catalog.rules_version
    slot.counted_at = time.monotonic()
    slot.not_before = slot.counted_at + REST * (slot.counted_at - began)


def _lenders(catalog: Catalog, encoder: EncoderVersion | None) -> Lenders | None:
    """Whose histories the catalog may read, by the vectors of its encoder; None for nobody's."""
    ids = tuple(catalog.learns_from.order_by("pk").values_list("pk", flat=True))
    return Lenders(ids, encoder.pk) if ids and encoder is not None else None


def encoder_of(bundle: Bundle | None, catalog: Catalog) -> EncoderVersion | None:
    """The encoder whose vectors a bundle is served with: the one that it was trained on.

    Where that is the one of the settings, and without a bundle: the configured one; None before its
    first use, or without its files.
    """
    if bundle is not None:
        version = EncoderVersion.objects.filter(digest=bundle.meta.encoder_digest).first()
        if version is not None and version.outlives_settings(catalog):
            return version
    try:
        digest = load_configured(catalog).digest
    except RankingFault as fault:
        logger.warning("No encoder: %s", fault)
        return None
    return EncoderVersion.objects.filter(digest=digest).first()


def _open(catalog: Catalog, slot: _Slot, old: RankingState | None) -> Bundle | None:
    """The live bundle; the one in memory if the live one must be refused; None without any."""
    for bundle_id in (catalog.live_bundle, old.bundle_id if old else ""):
        if not bundle_id:
            if bundle_id == catalog.live_bundle:
                return None
            continue
        try:
            return open_bundle(bundle_id, catalog.slug)
        except BundleError as fault:
            logger.error("%s The site goes on with what it has.", fault)
            slot.refused = bundle_id
    return None


def _count(catalog: Catalog, known: Popularity, items: ItemIndex) -> Popularity:
    """Add to the bundle's counts what happened since, in one query."""
    now = time.time()
    half_lives = (*HALF_LIVES, FIRST_VISIT_HALF_LIFE)
    *sums, first_visits = (
        f"sum(weight * power(0.5, least(age / {half:f}, {FADED:f})))" for half in half_lives
    )
    values: dict[str, str | float] = {
        "weights": json.dumps(catalog.event_weights),
        "now": now,
        "catalog": catalog.pk,
        "since": known.as_of,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            COUNTS_SQL.format(sums=", ".join(sums), first_visits=first_visits, visit=FIRST_VISIT),
            values,
        )
        found = np.array(cursor.fetchall(), dtype=np.float64).reshape(-1, 3 + len(HALF_LIVES))
    fading = np.exp2(-(now - known.as_of) / DAY / np.array(half_lives))  # (4,)
    counts = (known.counts * fading[:-1, None]).astype(np.float32)
    new = (known.first_visit_counts * fading[-1]).astype(np.float32)
    rows = items.rows_of(found[:, 0].astype(np.int64))
    found, rows = found[rows >= 0], rows[rows >= 0]
    counts[:, rows] += found[:, 1:-2].T
    new[rows] += found[:, -2]
    first = known.first.copy()
    first[rows] = np.fmin(first[rows], found[:, -1])
    return Popularity(counts, new, first, now)
