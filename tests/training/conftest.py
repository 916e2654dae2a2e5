"""A small catalog with people whose taste is known."""

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from catalog.events import Event, log_interactions
from catalog.models import EVENT_WEIGHTS, Catalog, Item, User
from catalog.people import users_by_external_id
from tests.training.bundles import Maker

THINGS = {
    "Fruit": ["apple", "pear", "plum", "cherry", "banana", "grape", "melon", "peach"],
    "Tools": ["hammer", "saw", "drill", "wrench", "chisel", "pliers", "file", "clamp"],
}


@pytest.fixture
def catalog() -> Catalog:
    """Thirty people, half of whom buy fruit and half tools, day after day."""
    catalog = Catalog.objects.create(
        slug="stall",
        name="Stall",
        item_kind="product",
        event_weights=EVENT_WEIGHTS["product"],
        repeat_consumption=True,
    )
    Item.objects.bulk_create(
        Item(catalog=catalog, external_id=name, title=name.title(), category=category)
        for category, names in THINGS.items()
        for name in names
    )
    people = users_by_external_id([f"person-{number}" for number in range(30)])
    items = {item.external_id: item.pk for item in catalog.items.all()}
    draw = np.random.default_rng(3)
    now = timezone.now()
    events = []
    for number, user_id in enumerate(people.values()):
        names = list(THINGS.values())[number % 2]
        for day in range(60, 0, -2):
            for name in draw.choice(names, 2, replace=False):
                moment = now - timedelta(days=day, minutes=number)
                events.append(Event(user_id, items[name], "purchase", moment, 1.0, uuid.uuid4()))
    result = log_interactions(catalog, events)
    assert result.accepted == len(events), result
    return catalog


@pytest.fixture
def own_bundles(settings: Any, tmp_path: Path) -> None:
    """Bundles and snapshots lie in a place apart."""
    settings.BUNDLE_DIR = tmp_path / "bundles"
    settings.SNAPSHOT_DIR = tmp_path / "snapshots"


@pytest.fixture
def shop(db: None) -> Catalog:
    return Catalog.objects.create(slug="shop", name="Larder", item_kind="product")


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create(username="admin", is_staff=True)


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)
