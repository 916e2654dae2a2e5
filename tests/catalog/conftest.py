"""A small shop, its items, and a person."""

import pytest

from catalog.creation import create_catalog
from catalog.models import Catalog, Item, User


@pytest.fixture
def catalog(db: None) -> Catalog:
    return create_catalog("corner", kind="product", repeat_consumption=True)


@pytest.fixture
def items(catalog: Catalog) -> list[Item]:
    return [
        Item.objects.create(catalog=catalog, external_id=f"i{number}", title=f"Item {number}")
        for number in range(5)
    ]


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create(username="ann")
