"""A shop with sixty products."""

import pytest

from catalog.models import EVENT_WEIGHTS, Catalog, Item
from tests.recsite.ranking_stub import RankingStub, install


@pytest.fixture(autouse=True)
def ranking(monkeypatch: pytest.MonkeyPatch) -> RankingStub:
    return install(monkeypatch)


@pytest.fixture
def shop() -> Catalog:
    return Catalog.objects.create(
        slug="shop",
        name="Larder",
        item_kind="product",
        repeat_consumption=True,
        event_weights=EVENT_WEIGHTS["product"],
    )


@pytest.fixture
def items(shop: Catalog) -> list[Item]:
    """Sixty cheeses and milks: price 0.50 … 30, sizes and brands in turn."""
    return Item.objects.bulk_create(
        Item(
            catalog=shop,
            external_id=f"item-{number:02}",
            title=f"Product {number:02}",
            category="Dairy > Cheese" if number % 2 else "Dairy > Milk & cream",
            price=f"{(number + 1) / 2:.2f}",
            attributes={
                "brand": "Store brand" if number % 3 == 0 else "National brand",
                "size": ("8 oz", "1 gal")[number % 2],
            },
        )
        for number in range(60)
    )
