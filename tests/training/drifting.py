"""A stall whose people's taste can change, and a live bundle that learned from the time before."""

import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone
from safetensors.numpy import save_file

from catalog.events import ensure_months
from catalog.models import (
    EVENT_WEIGHTS,
    Catalog,
    EncoderVersion,
    Interaction,
    Item,
    ItemVector,
    SlateLog,
)
from catalog.people import users_by_external_id
from ranking.bundle import BundleMeta, write_bundle
from training import registry
from training.models import ModelVersion

PEOPLE = 60
DEPARTMENTS = ("Fruit", "Tools")
EACH = 8  # items in a department
DAY = timedelta(days=1)


def stall() -> Catalog:
    """Fruit is cheap, tools are dear, and their texts point elsewhere."""
    catalog = Catalog.objects.create(
        slug="stall", name="Stall", item_kind="product", event_weights=EVENT_WEIGHTS["product"]
    )
    encoder = EncoderVersion.objects.create(name="tiny", digest="e" * 64, dimensions=4)
    draw = np.random.default_rng(5)
    for place, department in enumerate(DEPARTMENTS):
        for number in range(EACH):
            item = Item.objects.create(
                catalog=catalog,
                external_id=f"{department}-{number}",
                title=f"{department} {number}",
                category=f"{department} > Shelf {number % 2}",
                price=1 + number + 40 * place,
            )
            vector = draw.normal(0, 0.2, 4) + np.eye(4)[place]
            ItemVector.objects.create(
                item=item,
                encoder=encoder,
                text_digest="",
                vector=(vector / np.linalg.norm(vector)).tolist(),
            )
    return catalog


def shop_for(
    catalog: Catalog, begin: datetime, days: int, tools: float, people: str = "person"
) -> None:
    """Everybody picks two items a day; `tools` is the share of tools among them."""
    users = list(users_by_external_id([f"{people}-{n}" for n in range(PEOPLE)]).values())
    items = {item.external_id: item.pk for item in catalog.items.all()}
    draw = np.random.default_rng(7)
    rows = []
    for day in range(days):
        for minute, user_id in enumerate(users):
            for _ in range(2):
                department = DEPARTMENTS[int(draw.random() < tools)]
                item = items[f"{department}-{draw.integers(EACH)}"]
                moment = begin + DAY * day + timedelta(minutes=minute)
                rows.append(_click(catalog, user_id, item, moment))
    _store(rows)


def _click(catalog: Catalog, user: int, item: int, moment: datetime, **told: Any) -> Interaction:
    return Interaction(
        catalog=catalog, user_id=user, item_id=item, type="click", timestamp=moment, **told
    )


def _store(rows: list[Interaction]) -> None:
    ensure_months({row.timestamp for row in rows})
    Interaction.objects.bulk_create(rows)


def go_live(catalog: Catalog, folder: Path, begin: datetime, end: datetime) -> ModelVersion:
    """A bundle that says it learned from `begin` to `end`."""
    files = folder / uuid.uuid4().hex
    files.mkdir()
    save_file({"weight": np.zeros(1, dtype=np.float32)}, files / "a.safetensors")
    metrics = {"pipeline": {"ndcg@10": {"value": 0.2, "low": 0.1, "high": 0.3}}}
    split = {"rank_start": begin.timestamp(), "end": end.timestamp()}
    meta = BundleMeta(catalog.slug, "e" * 64, {}, parameters={"split": split}, metrics=metrics)
    version = registry.register(None, write_bundle(files, meta), metrics)
    registry.promote(version, None, "first")
    catalog.refresh_from_db()
    return version


def show(
    catalog: Catalog,
    moment: datetime,
    slates: int,
    clicked: int,
    place: int = 0,
    score: float = 0.0,
) -> None:
    """Slates that were seen, of which the first so many are clicked at this place."""
    users = list(users_by_external_id([f"person-{n}" for n in range(PEOPLE)]).values())
    ids = list(catalog.items.order_by("pk").values_list("pk", flat=True))[:10]
    draw = np.random.default_rng(9)
    rows = [
        SlateLog(
            catalog=catalog,
            user_id=users[number % PEOPLE],
            surface="api",
            bundle_id=catalog.live_bundle,
            item_ids=ids,
            scores=(score + draw.normal(size=len(ids))).tolist(),
            propensities=[1.0] * len(ids),
            sources=["x"] * len(ids),
            seen_positions=list(range(len(ids))),
        )
        for number in range(slates)
    ]
    SlateLog.objects.bulk_create(rows)
    SlateLog.objects.filter(pk__in=[row.pk for row in rows]).update(created_at=moment)
    _store(
        [
            _click(catalog, row.user_id or 0, ids[place], moment, slate_id=row.pk, position=place)
            for row in rows[:clicked]
        ]
    )


def weeks_ago(weeks: float) -> datetime:
    return timezone.now() - weeks * 7 * DAY
