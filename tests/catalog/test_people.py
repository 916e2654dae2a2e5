import pytest

from catalog.events import Event, log_interactions
from catalog.models import Catalog, Follow, Interaction, Item, User
from catalog.people import ensure_guest, imported_username, merge, users_by_external_id

pytestmark = pytest.mark.django_db


def test_a_guest_is_a_row_that_nobody_can_log_in_to() -> None:
    guest, other = ensure_guest(), ensure_guest()
    assert guest.is_guest
    assert guest.username.startswith("~guest-")
    assert guest.username != other.username
    assert not guest.has_usable_password()


def test_people_are_found_or_added_by_external_id() -> None:
    first = users_by_external_id(["a", "b"])
    again = users_by_external_id(["b", "c", "c"])
    assert again["b"] == first["b"]
    assert users_by_external_id(["a", "zz"], create=False) == {"a": first["a"]}
    added = User.objects.get(external_id="c")
    assert added.username == "~c"
    assert not added.has_usable_password()


def test_an_external_id_never_becomes_a_members_name() -> None:
    member = User.objects.create(username="admin", is_staff=True)
    assert users_by_external_id(["admin"])["admin"] != member.pk


def test_a_long_external_id_still_makes_a_username() -> None:
    names = users_by_external_id(["x" * 200, "x" * 199])
    assert len(set(names.values())) == 2
    assert len(imported_username("x" * 200)) < 150


def test_a_guest_who_logs_in_keeps_what_they_did(catalog: Catalog, items: list[Item]) -> None:
    guest, member = ensure_guest(), User.objects.create(username="ann")
    log_interactions(catalog, [Event(guest.pk, items[0].pk, "click")])
    for person in (guest, member):
        Follow.objects.create(user=person, catalog=catalog, category="Tea")
    Follow.objects.create(user=guest, catalog=catalog, category="Coffee")
    merge(guest, member)
    assert Interaction.objects.get().user == member
    assert set(member.follows.values_list("category", flat=True)) == {"Tea", "Coffee"}
    assert not User.objects.filter(is_guest=True).exists()
