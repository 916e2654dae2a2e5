"""The audit log: written by the database, by whom, and not on the hot path."""

import datetime
import uuid

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.actor import acting_as
from catalog.creation import learn_from
from catalog.events import Event, log_interactions
from catalog.models import ApiKey, AuditEntry, Catalog, Item, User
from catalog.people import ensure_guest
from catalog.roles import set_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Catalog:
    catalog = Catalog.objects.create(
        slug="shop", name="Larder", item_kind="product", event_weights={"view": 0.1}
    )
    forget()
    return catalog


def forget() -> None:
    """Truncating is what the tests may do and the site never does."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE catalog_auditentry")


def the_entry() -> AuditEntry:
    return AuditEntry.objects.get()


class TestWhat:
    def test_a_change_tells_only_what_differs(self, shop: Catalog) -> None:
        shop.diversity = 0.4
        shop.event_weights = {"view": 0.2}
        shop.save()
        entry = the_entry()
        assert (entry.kind, entry.action, entry.label, entry.catalog) == (
            "catalog", "changed", "shop", "shop",
        )  # fmt: skip
        assert entry.before == {"diversity": 0.1, "event_weights": {"view": 0.1}}
        assert entry.after == {"diversity": 0.4, "event_weights": {"view": 0.2}}
        assert entry.differences == [("diversity", 0.1, 0.4), ("event_weights, view", 0.1, 0.2)]

    def test_which_catalogs_it_learns_from(self, shop: Catalog) -> None:
        others = [
            Catalog.objects.create(slug=slug, name=slug, item_kind="article")
            for slug in ("news", "films")
        ]
        forget()
        with acting_as("rosa"):
            learn_from(shop, ["news", "films"])
        entry = the_entry()
        assert (entry.who, entry.kind, entry.action, entry.label) == (
            "rosa", "catalog", "changed", "shop",
        )  # fmt: skip
        assert entry.before == {"learns_from": []}
        assert entry.after == {"learns_from": ["films", "news"]}
        forget()
        learn_from(shop, ["films"])
        assert the_entry().before == {"learns_from": ["films", "news"]}
        assert the_entry().after == {"learns_from": ["films"]}
        forget()
        learn_from(shop, ["films"])
        assert not AuditEntry.objects.exists()
        others[1].delete()
        assert AuditEntry.objects.filter(label="shop").get().after == {"learns_from": []}

    def test_saving_without_a_change_is_none(self, shop: Catalog) -> None:
        shop.save()
        assert not AuditEntry.objects.exists()

    def test_coming_and_going(self, shop: Catalog) -> None:
        other = Catalog.objects.create(slug="news", name="N", item_kind="article")
        assert the_entry().differences  # what it began with
        forget()
        other.delete()
        entry = the_entry()
        assert (entry.action, entry.label, entry.after) == ("deleted", "news", {})
        assert entry.before["name"] == "N"

    def test_never_the_hash_of_a_key(self, shop: Catalog) -> None:
        key = ApiKey.objects.create(catalog=shop, name="web", prefix="abc", key_hash="hush")
        assert "hush" not in str(the_entry().after)
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now())
        assert AuditEntry.objects.count() == 1  # a request is no entry

    def test_roles(self) -> None:
        User.objects.create_superuser("boss")
        User.objects.create_user("ada")
        forget()
        set_role("ada", "operator")
        entry = the_entry()
        assert (entry.kind, entry.label) == ("role", "ada")
        assert entry.before == {"role": "", "is_staff": False}
        assert entry.after == {"role": "operator", "is_staff": True}
        assert "password" not in str(entry.after)

    def test_nobody_rewrites_it(self, shop: Catalog) -> None:
        shop.delete()
        for attempt in (
            lambda: AuditEntry.objects.update(who="nobody"),
            lambda: AuditEntry.objects.all().delete(),
        ):
            with pytest.raises(DatabaseError, match="not changed afterwards"), transaction.atomic():
                attempt()


class TestHotPath:
    def test_visitors_and_items_leave_no_trace(self, shop: Catalog) -> None:
        guest = ensure_guest()
        item = Item.objects.create(catalog=shop, external_id="a", title="A")
        shop.touch_items()
        event = Event(guest.pk, item.pk, "view", timezone.now(), None, uuid.uuid4())
        with CaptureQueriesContext(connection) as written:
            assert log_interactions(shop, [event]).accepted == 1
        assert "recsite.who" not in str(written.captured_queries)
        guest.last_login = timezone.now()
        guest.save()
        guest.delete()
        assert not AuditEntry.objects.exists()


class TestWho:
    def test_the_one_who_acts_else_the_process(self, shop: Catalog) -> None:
        with acting_as("olga"):
            Catalog.objects.update(diversity=0.2)
        Catalog.objects.update(diversity=0.3)
        newest, first = AuditEntry.objects.order_by("-pk")
        assert (first.who, first.through) == ("olga", newest.through)
        assert newest.who == newest.through != ""

    def test_nobody_inherits_a_name_after_a_fault(self, shop: Catalog) -> None:
        with pytest.raises(ZeroDivisionError), acting_as("olga"):
            1 / 0  # noqa: B018
        Catalog.objects.update(diversity=0.3)
        assert the_entry().who != "olga"


class TestMatching:
    def test_filters(self, shop: Catalog) -> None:
        for who in ("olga", "boss"):
            with acting_as(who):
                Catalog.objects.create(slug=f"of-{who}", name="N", item_kind="article")
        today = timezone.localdate()
        tomorrow = today + datetime.timedelta(days=1)
        found = AuditEntry.objects.matching
        assert AuditEntry.objects.known("who") == ["boss", "olga"]
        assert AuditEntry.objects.known("kind") == ["catalog"]
        assert [entry.who for entry in found()] == ["boss", "olga"]
        assert found(who="olga").count() == 1
        assert found(kind="catalog", since=today, until=today).count() == 2
        assert found(catalog="of-boss").get().who == "boss"
        assert not found(kind="run").exists()
        assert not found(since=tomorrow).exists()
        assert not found(until=today - datetime.timedelta(days=1)).exists()
