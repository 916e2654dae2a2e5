"""A shop, a program with a key to it, and its items."""

import pytest

from catalog.models import EVENT_WEIGHTS, Catalog, Item
from recsite.api import keys
from tests.recsite.api.program import Program
from tests.recsite.ranking_stub import RankingStub, install
from training import tasks


@pytest.fixture
def shop() -> Catalog:
    return Catalog.objects.create(
        slug="shop", name="Shop", item_kind="product", event_weights=EVENT_WEIGHTS["product"]
    )


@pytest.fixture
def program(shop: Catalog) -> Program:
    return Program(keys.create_key(shop, "test"))


@pytest.fixture
def items(shop: Catalog) -> list[Item]:
    return [
        Item.objects.create(
            catalog=shop,
            external_id=f"item-{number}",
            title=f"Tea {number}",
            category="Tea > Green",
        )
        for number in range(5)
    ]


@pytest.fixture
def ranking(monkeypatch: pytest.MonkeyPatch) -> RankingStub:
    return install(monkeypatch)


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Catalogs whose new items a worker was asked to encode."""
    called: list[int] = []
    monkeypatch.setattr(tasks.refresh_vectors, "delay", called.append)
    return called
