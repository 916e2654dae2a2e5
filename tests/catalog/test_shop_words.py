import doctest

import pytest

from catalog.demo import news, shop_words
from catalog.demo.shop_words import readable, size_text, title


def test_the_examples() -> None:
    for module in (shop_words, news):
        tried = doctest.testmod(module)
        assert tried.attempted > 0
        assert tried.failed == 0


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("", ""),
        ("FRZN FRENCH FRIES", "Frozen French fries"),
        ("EGGS - LARGE", "Large eggs"),
        ("PEPPERS RED BELL", "Red bell peppers"),
        ("POTATOES RUSSET (BULK&BAG)", "Russet potatoes"),
        ("SOUP CRACKERS (SALTINE/OYSTER)", "Soup crackers"),
        ("NON-DAIRY BEVERAGES", "Non-dairy beverages"),
        ("TV/MOVIE-MAGAZINE", "TV & movie magazine"),
    ],
)
def test_names(code: str, name: str) -> None:
    assert readable(code) == name


@pytest.mark.parametrize(
    ("code", "size"),
    [("", ""), ("1/2 GAL", "1/2 gal"), ("10/6.75 OZ", "10/6.75 oz"), (".3 OZ", "0.3 oz")],
)
def test_sizes(code: str, size: str) -> None:
    assert size_text(code) == size


def test_a_qualifier_takes_the_category_along() -> None:
    assert title("MAINSTREAM", "PASTA SAUCE", "", is_store_brand=False) == "Mainstream pasta sauce"
    assert (
        title("PREMIUM - MEAT", "HOT DOGS", "1 LB", is_store_brand=False)
        == "Premium hot dogs, 1 lb"
    )
    assert title("", "", "", is_store_brand=True) == "Store brand other product"
    assert title("BBQ SAUCE", "X", "", is_store_brand=True) == "Store brand BBQ sauce"
