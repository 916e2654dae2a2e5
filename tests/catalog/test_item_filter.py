"""The filter grammar: what it reads, and where it says that something is wrong."""

from datetime import UTC, datetime

import pytest

from catalog.item_filter import (
    DEEPEST,
    LONGEST,
    Ago,
    Condition,
    Every,
    Filter,
    FilterError,
    Not,
    Some,
    parse,
)

CHEAP = Condition("price", "<", (5.0,))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("price < 5", CHEAP),
        ('category = "Dairy"', Condition("category", "=", ("Dairy",))),
        ('Brand IN ("X", "Y")', Condition("brand", "=", ("X", "Y"))),
        ('brand not in ("X")', Not(Condition("brand", "=", ("X",)))),
        ("not price < 5", Not(CHEAP)),
        ("price != -1.5", Not(Condition("price", "=", (-1.5,)))),
        ("published > 7d ago", Condition("published", ">", (Ago(604_800.0),))),
        ("published >= 1.5h AGO", Condition("published", ">=", (Ago(5_400.0),))),
        (
            "published < 2026-01-31",
            Condition("published", "<", (datetime(2026, 1, 31, tzinfo=UTC),)),
        ),
        ("on_offer", Condition("on_offer", "=", (True,))),
        ("on_offer = false", Condition("on_offer", "=", (False,))),
        ('attributes.colour = "red"', Condition("attributes", "=", ("red",), "colour")),
        ("attributes.size-eu >= 41", Condition("attributes", ">=", (41.0,), "size-eu")),
        ('attributes."on sale" = true', Condition("attributes", "=", (True,), "on sale")),
        (r'attributes.颜色 = "a\"b"', Condition("attributes", "=", ('a"b',), "颜色")),
        ("price < 5 and on_offer or not price < 5", None),
    ],
)
def test_reads(text: str, meant: Filter | None) -> None:
    offer = Condition("on_offer", "=", (True,))
    assert parse(text) == (meant or Some((Every((CHEAP, offer)), Not(CHEAP))))


def test_brackets_bind() -> None:
    offer = Condition("on_offer", "=", (True,))
    assert parse("price < 5 and (on_offer or price < 5)") == Every((CHEAP, Some((offer, CHEAP))))


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 1, "a field"),
        ("   ", 1, "a field"),
        ("colour = 1", 1, "attributes.NAME"),
        ("attributes = 1", 1, "attributes.NAME"),
        ("price.x = 1", 1, "a field"),
        ("price", 6, "<"),
        ("price < ", 8, "a number"),
        ('price < "5"', 9, "a number"),
        ("price < 5 5", 11, "and, or"),
        ("price < 5 and", 14, "a field"),
        ("price <> 5", 8, "a number"),
        ("price in 5", 10, "("),
        ("price in (5", 12, ", or )"),
        ("price in ()", 11, "a number"),
        ("price not 5", 11, "in"),
        ('category < "A"', 10, "=, !=, in"),
        ("published = 2026-01-01", 11, "<, <=, >, >="),
        ("published > 7d", 15, "ago"),
        ("published > 2026-02-31", 13, "a time"),
        ('published > "x"', 13, "a time"),
        ("(price < 5", 11, ")"),
        ("price < 5)", 10, "and, or"),
        ('brand = "Dai', 9, 'a closing "'),
        ("price < 5 & on_offer", 11, "a sign"),
        ('attributes.x < "5"', 16, "a number"),
        ("on_offer = 1", 12, "true or false"),
        (r'brand = "\q"', 9, "a text"),
        (r'attributes."\q" = 1', 1, "a text"),
        ("price < 1e5", 9, "a value"),
        ("not " * (DEEPEST + 2) + "on_offer", 4 * (DEEPEST + 1) + 1, "at most"),
        ("x" * (LONGEST + 1), LONGEST + 1, "at most"),
    ],
)
def test_says_where_and_what(text: str, position: int, expected: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert (caught.value.position, expected in caught.value.expected) == (position, True), str(
        caught.value
    )
    assert str(caught.value).startswith(f"Character {position}: expected ")
