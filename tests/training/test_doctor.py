"""The data doctor: what it counts, which colours it gives, the command."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.creation import create_catalog
from catalog.events import ensure_months
from catalog.figures import Day, figures_of
from catalog.models import Catalog, Interaction, Item, SlateLog, User
from training import doctor
from training.cost import GIB, Cost
from training.doctor import examine
from training.findings import Colour, Finding

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Catalog:
    catalog = create_catalog("corner", kind="product")
    for number in range(10):
        Item.objects.create(
            catalog=catalog,
            external_id=f"i{number}",
            title="Tea" if number < 3 else f"Item {number}",
            body="" if number < 6 else f"Text {number}",
            category="Food",
            price=1 if number else None,
            image="/a.png",
        )
    return catalog


@pytest.fixture
def ann() -> User:
    return User.objects.create(username="ann")


@pytest.fixture
def did(shop: Catalog, ann: User) -> Callable[..., Interaction]:
    item = shop.items.order_by("pk").first()

    def act(moment: datetime, **fields: Any) -> Interaction:
        ensure_months([moment])
        told = {"catalog": shop, "user": ann, "item": item, "type": "click"} | fields
        return Interaction.objects.create(event_id=uuid.uuid4(), timestamp=moment, **told)

    return act


def shown(shop: Catalog, **fields: Any) -> SlateLog:
    rows = {"item_ids": [1, 2], "scores": [1, 1], "propensities": [1, 1], "sources": ["a", "b"]}
    return SlateLog.objects.create(catalog=shop, surface="home", **rows, **fields)


def of(shop: Catalog, name: str) -> Finding:
    return next(one for one in examine(shop).findings if one.name == name)


def test_items_without(shop: Catalog) -> None:
    items = figures_of(shop).items
    assert (items.items, items.no_text, items.no_category, items.no_price) == (10, 6, 0, 1)
    assert (items.copies, items.no_picture, items.unavailable) == (2, 0, 0)
    text = of(shop, "Text")
    assert (text.colour, text.page) == (Colour.AMBER, "imports")
    assert text.text.startswith("6 of 10 items, 60.0%, have no text")
    assert "column body" in text.cure
    assert of(shop, "Duplicates").colour == Colour.AMBER
    assert of(shop, "Price").colour == Colour.GREEN


def test_an_empty_catalog_is_red(db: None) -> None:
    found = examine(create_catalog("empty", kind="article"))
    assert found.colour == Colour.RED
    assert [one.name for one in found.findings[:2]] == ["Items", "Interactions"]
    assert found.findings[0].command == "manage.py import_data empty --items FILE"


def test_histories_leave_out_bots_and_other_catalogs(
    shop: Catalog, ann: User, did: Callable[..., Interaction]
) -> None:
    now = timezone.now()
    User.objects.create(username="nobody")
    User.objects.create(username="boss", is_staff=True, role="admin")
    many, some = (User.objects.create(username=name) for name in ("many", "some"))
    for number in range(25):
        did(now - timedelta(hours=number), user=many)
    for number in range(6):
        did(now - timedelta(hours=number), user=some)
    did(now)
    did(now, user=ann, is_suspected=True)
    assert figures_of(shop).histories == {0: 1, 1: 1, 5: 1, 20: 1}


def test_slates_and_their_interactions(shop: Catalog, did: Callable[..., Interaction]) -> None:
    ignored, seen, picked = shown(shop), shown(shop, seen_positions=[0]), shown(shop)
    did(timezone.now(), slate_id=picked.pk)
    did(timezone.now(), slate_id=uuid.uuid4())
    did(timezone.now())
    today = figures_of(shop).days[-1]
    assert (today.slates, today.impressions) == (3, 1)
    assert (today.slates_ignored, today.slates_unpicked, today.slates_unreported) == (1, 1, 1)
    assert (today.interactions, today.of_slates, today.of_unknown_slates) == (3, 2, 1)
    assert of(shop, "Interactions of unknown slates").colour == Colour.RED
    assert ignored != seen


def test_repeats_and_clock(shop: Catalog, did: Callable[..., Interaction]) -> None:
    start = timezone.now() - timedelta(days=3)
    for seconds in (0, 2, 60):
        did(start + timedelta(seconds=seconds))
        did(start + timedelta(seconds=seconds), type="purchase")
    did(datetime(1999, 5, 1, tzinfo=UTC))
    did(timezone.now() + timedelta(hours=2))
    shop.items.update(published_at=timezone.now() - timedelta(days=2))
    figures = figures_of(shop)
    assert figures.rows.repeated == 1
    assert (figures.in_future, figures.implausibly_old) == (1, 1)
    assert figures.rows.before_publication == 7  # the one in the future is not among the newest
    assert of(shop, "Clock").colour == Colour.RED


def test_bots(
    shop: Catalog, did: Callable[..., Interaction], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.figures.MANY_A_DAY", 3)
    noon = datetime.combine(timezone.now().date(), datetime.min.time(), tzinfo=UTC)
    for minute in range(4):
        did(noon - timedelta(days=1) + timedelta(minutes=minute), is_suspected=minute == 0)
    found = of(shop, "Bots")
    assert found.colour == Colour.AMBER
    assert "1 interactions in 90 days, 25.0%" in found.text
    assert "1 people did more than" in found.text


@pytest.mark.parametrize(
    ("last", "is_far"), [(100, False), (130, False), (400, True), (5, True), (0, True)]
)
def test_jumps(last: int, is_far: bool) -> None:
    start = timezone.now().date() - timedelta(days=60)
    counts = [90 + 20 * (number % 2) for number in range(50)] + [last]
    days = [Day(start + timedelta(days=place), count) for place, count in enumerate(counts)]
    [found] = doctor._jumps(days)
    assert (found.colour == Colour.AMBER) == is_far


def test_a_stop_shows(shop: Catalog, did: Callable[..., Interaction]) -> None:
    today = timezone.now().date()
    did(timezone.now() - timedelta(days=20))
    assert figures_of(shop).days[-1].day == today
    Interaction.objects.all().delete()
    did(timezone.now() - timedelta(days=40))
    assert figures_of(shop).days[-1] == Day(today - timedelta(days=40), 1)


def test_a_young_day_is_no_jump() -> None:
    today = timezone.now().date()
    days = [Day(today - timedelta(days=back), 100) for back in range(40, 0, -1)] + [Day(today, 2)]
    [found] = doctor._jumps(days)
    assert found.colour == Colour.GREEN


@pytest.mark.parametrize(
    ("memory", "seconds", "colours"),
    [
        (1.0, 600.0, ["green", "green"]),
        (7.0, 600.0, ["amber", "green"]),
        (9.0, 20_000.0, ["red", "amber"]),
    ],
)
def test_the_cost_of_a_training(memory: float, seconds: float, colours: list[str]) -> None:
    cost = Cost(seconds=seconds, memory=memory * GIB, runs=0, machine=8.0 * GIB)
    assert [one.colour for one in doctor._cost(cost, "corner")] == colours


def test_queries_do_not_grow(
    shop: Catalog, did: Callable[..., Interaction], django_assert_num_queries: Any
) -> None:
    for number in range(30):
        did(timezone.now() - timedelta(days=number))
        shown(shop)
    with django_assert_num_queries(13):
        examine(shop)


def test_the_command(
    shop: Catalog,
    did: Callable[..., Interaction],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        call_command("doctor", "corner", "--json", str(tmp_path / "f.json"))
    assert stop.value.code == 1
    assert capsys.readouterr().out.startswith("red    Interactions: Nobody has done anything")
    told = json.loads((tmp_path / "f.json").read_text())
    assert (told["catalog"], told["colour"], told["figures"]["items"]["items"]) == (
        "corner",
        "red",
        10,
    )
    did(timezone.now())
    did(timezone.now() - timedelta(days=1))
    for hours in range(2, 7):
        did(timezone.now() - timedelta(hours=hours))
    call_command("doctor", "corner")
    assert "amber  Text: 6 of 10" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no catalog"):
        call_command("doctor", "nowhere")
