"""A made-up history of a catalog: runs, models and interactions, to see how pages bear a long one.

Everything that can say so is marked as simulated: the catalog, its people, their interactions. The
models have no files, so nothing can be promoted by mistake.
"""

import math
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from django.db import connection
from django.utils import timezone

from catalog.events import ensure_months
from catalog.models import Catalog, Interaction, Item, User
from catalog.people import users_by_external_id
from training.errors import TrainingFault
from training.models import ModelVersion, RunLogLine, RunMetric, TrainingRun

DAYS = 365  # how far back it goes
PEOPLE = 5_000
ITEMS = 2_000  # made up where the catalog holds none
BATCH = 250_000  # interactions a statement; what it adds to indexes stays in memory
STEPS = 20  # points of a curve, and lines of a log
STATES = (("succeeded", 0.8), ("failed", 0.12), ("cancelled", 0.08))
KINDS = (("train", 0.6), ("encode", 0.2), ("evaluate", 0.15), ("finetune", 0.05))
INTERACTIONS = """
INSERT INTO catalog_interaction
    (event_id, catalog_id, user_id, item_id, type, "timestamp", is_simulated)
SELECT gen_random_uuid(), %(catalog)s,
    (%(people)s::bigint[])[1 + floor(random() * %(n_people)s)::int],
    (%(items)s::bigint[])[1 + floor(random() * random() * %(n_items)s)::int],
    (%(types)s::text[])[1 + floor(random() * random() * %(n_types)s)::int],
    %(since)s + random() * (%(until)s - %(since)s), true
FROM generate_series(1, %(size)s)
"""


def generate(
    catalog: Catalog, runs: int, bundles: int, interactions: int, tell: Callable[[str], None]
) -> None:
    """Fill a catalog that holds nothing real with so many runs, models and interactions.

    Raises
    ------
    TrainingFault
        The catalog holds real interactions or models, or there are more bundles than trainings.
    """
    if Interaction.objects.filter(catalog=catalog, is_simulated=False).exists():
        raise TrainingFault(
            f"{catalog.slug} holds real interactions. Make a catalog for the purpose: "
            "manage.py create_catalog SLUG --kind product."
        )
    if catalog.live_bundle:
        raise TrainingFault(f"{catalog.slug} serves a model. Make a catalog for the purpose.")
    if bundles > runs:
        raise TrainingFault("A bundle comes from a run: ask for at least as many runs.")
    Catalog.objects.filter(pk=catalog.pk).update(is_simulated=True)
    draw = np.random.default_rng(1)
    _add_models(catalog, _add_runs(catalog, runs, bundles, draw)[:bundles], draw)
    tell(f"{runs:,} runs, {bundles:,} bundles")
    _add_interactions(catalog, interactions, tell)


def _drawn(draw: np.random.Generator, shares: tuple[tuple[str, float], ...]) -> str:
    return str(draw.choice([name for name, _ in shares], p=[share for _, share in shares]))


def _add_runs(
    catalog: Catalog, count: int, trained: int, draw: np.random.Generator
) -> list[TrainingRun]:
    """Runs of the past year with curves and logs; the first `trained` of them made models."""
    now = timezone.now()
    runs = []
    for number in range(count):
        model = number < trained
        start = now - timedelta(days=float(draw.uniform(0, DAYS)))
        run = TrainingRun(
            catalog=catalog,
            kind="train" if model else _drawn(draw, KINDS),
            state="succeeded" if model else _drawn(draw, STATES),
            started_at=start,
            ended_at=start + timedelta(minutes=float(draw.lognormal(2.5, 0.8))),
            tags=["made-up"],
            parameters={"epochs": int(draw.integers(2, 12))},
            seed=number,
        )
        run.progress = 1.0 if run.state == "succeeded" else float(draw.uniform(0, 1))
        run.error = "Made up: a failure." if run.state == "failed" else ""
        runs.append(run)
    TrainingRun.objects.bulk_create(runs)
    for run in runs:
        run.created_at = run.started_at or now
    TrainingRun.objects.bulk_update(runs, ["created_at"])
    for run in runs:
        _add_curves(run, draw)
    return runs


def _add_curves(run: TrainingRun, draw: np.random.Generator) -> None:
    """A loss that falls and a figure that rises, each with some noise, and a line for each step."""
    RunMetric.objects.bulk_create(
        RunMetric(run=run, name=name, step=step, value=value + float(draw.normal(0, 0.01)))
        for step in range(STEPS)
        for name, value in (
            ("tower/train_loss", 2 + 4 * math.exp(-step / 6)),
            ("tower/valid_ndcg", 0.2 - 0.15 * math.exp(-step / 6)),
        )
    )
    RunLogLine.objects.bulk_create(
        RunLogLine(run=run, text=f"Made up: epoch {step}") for step in range(STEPS)
    )


def _add_models(catalog: Catalog, runs: list[TrainingRun], draw: np.random.Generator) -> None:
    """A model of each of these runs, the older one the parent of the next."""
    parent = None
    for run in sorted(runs, key=lambda run: run.created_at):
        value = float(draw.normal(0.2, 0.02))
        figures = {
            "ndcg@10": {"value": value, "low": value - 0.01, "high": value + 0.01},
            "coverage@10": {"value": float(draw.uniform(0.2, 0.6))},
        }
        parent = ModelVersion.objects.create(
            catalog=catalog,
            bundle_id=f"{catalog.slug}-made-up-{uuid.uuid4().hex[:8]}",
            digest=uuid.uuid4().hex * 2,
            run=run,
            parent=parent,
            metrics={"pipeline": figures},
        )
        ModelVersion.objects.filter(pk=parent.pk).update(created_at=run.ended_at)


def _add_interactions(catalog: Catalog, count: int, tell: Callable[[str], None]) -> None:
    """Interactions of the past year, evenly over it; some items and types are commoner.

    A month at a time: indexes of one partition fit into memory, those of all of them don't, and
    rows that fall into all of them at random take an hour instead of minutes.
    """
    given = {
        "items": _items(catalog),
        "people": _people(),
        "types": list(catalog.event_weights) or ["view"],
    }
    lengths = {f"n_{name}": len(values) for name, values in given.items()}
    now = timezone.now()
    borders = _borders(now - timedelta(days=DAYS), now)
    ensure_months(borders)
    done = 0
    for since, until in pairwise(borders):
        due = round(count * ((until - borders[0]) / timedelta(days=DAYS)))  # by the end of it
        while done < due:
            size = min(BATCH, due - done)
            span: dict[str, Any] = {"since": since, "until": until, "size": size}
            with connection.cursor() as cursor:
                cursor.execute(INTERACTIONS, {**given, **lengths, **span, "catalog": catalog.pk})
            done += size
            tell(f"{done:,} interactions")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE catalog_interaction")  # or the pages are planned for an empty table


def _borders(since: datetime, until: datetime) -> list[datetime]:
    """The first and the last moment, and where a month begins between them, in UTC."""
    found = [since]
    month = since.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while (month := (month + timedelta(days=32)).replace(day=1)) < until:
        found.append(month)
    return [*found, until]


def _items(catalog: Catalog) -> list[int]:
    """The catalog's items; made-up ones where it holds none."""
    if not catalog.items.exists():
        Item.objects.bulk_create(
            Item(catalog=catalog, external_id=f"made-up-{n}", title=f"Made-up item {n}")
            for n in range(ITEMS)
        )
    return list(catalog.items.values_list("pk", flat=True))


def _people() -> list[int]:
    """Made-up people, the same ones in all catalogs."""
    found = users_by_external_id(f"made-up-{n}" for n in range(PEOPLE)).values()
    User.objects.filter(pk__in=found).update(is_simulated=True)
    return list(found)
