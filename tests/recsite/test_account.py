"""Who is asking: guests, members, demo people; login, sign-up, privacy."""

import json
import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from catalog.events import Event, log_interactions
from catalog.models import EVENT_WEIGHTS, Catalog, Follow, Interaction, Item, SlateLog, User
from catalog.people import ensure_guest
from recsite import throttle

PASSWORD = "correct horse battery"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_cache")]


@pytest.fixture
def paper() -> Catalog:
    return Catalog.objects.create(
        slug="news", name="Paper", item_kind="article", event_weights=EVENT_WEIGHTS["article"]
    )


@pytest.fixture
def item(paper: Catalog) -> Item:
    return Item.objects.create(catalog=paper, external_id="a", title="A story", category="Sport")


@pytest.fixture
def member() -> User:
    return User.objects.create_user("ada", password=PASSWORD)


@pytest.fixture
def guest(client: Client, item: Item) -> User:
    """A guest of this client's session who liked an item and follows a section."""
    guest = ensure_guest()
    session = client.session
    session["guest_id"] = guest.pk
    session.save()
    log_interactions(item.catalog, [Event(guest.pk, item.pk, "like")])
    Follow.objects.create(user=guest, catalog=item.catalog, category="Sport")
    return guest


def log_in(client: Client, username: str = "ada", password: str = PASSWORD, **more: str) -> Any:
    return client.post(
        reverse("login"), {"username": username, "password": password, **more}, follow=False
    )


def current(client: Client) -> User:
    person = client.get(reverse("account")).context["person"]
    return User.objects.get(pk=person.pk) if person.pk else User(is_guest=True)


def test_a_look_makes_no_row(client: Client) -> None:
    assert client.get(reverse("account")).status_code == 200
    assert not User.objects.exists()
    assert "sessionid" not in client.cookies


def test_sign_up_keeps_the_guests_row_and_history(client: Client, guest: User) -> None:
    answer = client.post(
        reverse("sign-up"), {"username": "grace", "password1": PASSWORD, "password2": PASSWORD}
    )
    assert answer.status_code == 302
    grace = User.objects.get(username="grace")
    assert grace.pk == guest.pk
    assert not grace.is_guest
    assert grace.check_password(PASSWORD)
    assert Interaction.objects.filter(user=grace).count() == 1
    assert current(client) == grace


@pytest.mark.parametrize("name", ["~household-1", "~guest-1", "a b", ""])
def test_sign_up_refuses_names_that_imported_people_have(client: Client, name: str) -> None:
    answer = client.post(
        reverse("sign-up"), {"username": name, "password1": PASSWORD, "password2": PASSWORD}
    )
    assert answer.status_code == 422
    assert not User.objects.exists()


def test_sign_up_cannot_take_a_members_name(client: Client, guest: User, member: User) -> None:
    answer = client.post(
        reverse("sign-up"), {"username": "ADA", "password1": PASSWORD, "password2": PASSWORD}
    )
    assert answer.status_code == 422
    assert User.objects.get(pk=guest.pk).is_guest


def test_login_hands_the_guests_history_over(client: Client, guest: User, member: User) -> None:
    SlateLog.objects.create(
        catalog=Catalog.objects.get(), user=guest, surface="news-home",
        item_ids=[], scores=[], propensities=[], sources=[],
    )  # fmt: skip
    Follow.objects.create(user=member, catalog=Catalog.objects.get(), category="Sport")
    assert log_in(client).status_code == 302
    assert not User.objects.filter(pk=guest.pk).exists()
    assert Interaction.objects.get().user_id == member.pk
    assert SlateLog.objects.get().user_id == member.pk
    assert Follow.objects.get().user_id == member.pk
    assert current(client) == member


def test_logout_ends_the_session_and_needs_a_post(client: Client, member: User) -> None:
    log_in(client)
    answer = client.get(reverse("logout"))
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "Go back to the page with the button." in answer.content.decode()
    assert client.post(reverse("logout")).status_code == 302
    assert current(client).pk is None


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "https:evil", ""]
)
def test_login_goes_nowhere_else(client: Client, member: User, target: str) -> None:
    assert log_in(client, next=target)["Location"] == reverse("home")


def test_login_goes_where_it_was_asked_to(client: Client, member: User) -> None:
    assert log_in(client, next="/news/?a=1")["Location"] == "/news/?a=1"


def test_failures_close_the_door_for_a_while(client: Client, member: User) -> None:
    for _ in range(throttle.FAILURES):
        assert log_in(client, password="wrong").status_code == 422
    refused = log_in(client)
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= throttle.WINDOW_SECONDS
    assert f"Wait {refused['Retry-After']} second" in refused.content.decode()
    assert current(client).pk is None


def test_the_door_is_closed_to_one_name_from_one_address_only(member: User) -> None:
    for _ in range(throttle.FAILURES):
        throttle.take("Ada", "10.0.0.1")
    assert throttle.take("aDA", "10.0.0.1").wait_seconds > 0
    assert throttle.take("ada", "10.0.0.2").wait_seconds == 0
    assert throttle.take("bob", "10.0.0.1").wait_seconds == 0


def test_successes_use_nothing_up(client: Client, member: User) -> None:
    for _ in range(throttle.FAILURES + 2):
        assert log_in(client).status_code == 302


def test_a_slot_comes_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "WINDOW_SECONDS", -1)  # over before it began
    for _ in range(throttle.FAILURES * 2):
        assert throttle.take("ada", "10.0.0.1").wait_seconds == 0


@pytest.mark.django_db(transaction=True)
def test_attempts_at_the_same_moment_share_the_slots() -> None:
    granted: list[bool] = []

    def attempt() -> None:
        granted.append(throttle.take("ada", "10.0.0.9").wait_seconds == 0)
        connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == throttle.FAILURES


def demo_person(external_id: str = "household-7", **more: Any) -> User:
    return User.objects.create(username=f"~{external_id}", external_id=external_id, **more)


def look_as(client: Client, external_id: str) -> Any:
    return client.post(reverse("look-as"), {"external_id": external_id, "next": "/account/"})


def test_looking_through_a_demo_person(client: Client, settings: Any) -> None:
    settings.DEMO = True
    household = demo_person()
    assert look_as(client, "household-7")["Location"] == "/account/"
    assert current(client) == household
    client.post(reverse("stop-looking"))
    assert current(client).pk is None


def test_a_demo_persons_history_is_not_the_visitors(
    client: Client, settings: Any, item: Item
) -> None:
    settings.DEMO = True
    household = demo_person()
    log_interactions(item.catalog, [Event(household.pk, item.pk, "read")])
    look_as(client, "household-7")
    assert client.post(reverse("forget")).status_code == 403
    assert client.get(reverse("export")).status_code == 403
    assert Interaction.objects.count() == 1


@pytest.mark.parametrize(
    ("external_id", "more", "demo"),
    [
        ("household-7", {}, False),  # not a demo site
        ("customer-7", {}, True),  # not a demo person
        ("household-7", {"is_staff": True}, True),
        ("household-7", {"is_superuser": True}, True),
    ],
)
def test_nobody_else_can_be_looked_through(
    client: Client, settings: Any, external_id: str, more: dict[str, Any], demo: bool
) -> None:
    settings.DEMO = demo
    demo_person(external_id, **more)
    assert look_as(client, external_id).status_code == 404
    assert current(client).pk is None


def test_a_person_who_became_staff_is_not_looked_through_any_more(
    client: Client, settings: Any
) -> None:
    settings.DEMO = True
    household = demo_person()
    look_as(client, "household-7")
    User.objects.filter(pk=household.pk).update(is_staff=True)
    assert current(client).pk is None


def test_login_ends_looking(client: Client, settings: Any, member: User) -> None:
    settings.DEMO = True
    demo_person()
    look_as(client, "household-7")
    log_in(client)
    assert current(client) == member


def test_a_new_guest_starts_afresh(client: Client, guest: User) -> None:
    client.post(reverse("new-guest"))
    assert current(client).pk is None
    assert User.objects.filter(pk=guest.pk).exists()


def test_the_account_page_shows_what_is_stored(client: Client, guest: User) -> None:
    page = client.get(reverse("account")).content.decode()
    assert "A story" in page
    assert "Sport" in page


def test_export_holds_everything(client: Client, guest: User) -> None:
    answer = client.get(reverse("export"))
    assert "attachment" in answer["Content-Disposition"]
    stored = json.loads(answer.content)
    assert [row["type"] for row in stored["interactions"]] == ["like"]
    assert [row["category"] for row in stored["follows"]] == ["Sport"]


def test_forgetting_a_guest_leaves_nothing(client: Client, guest: User) -> None:
    client.post(reverse("forget"))
    assert not Interaction.objects.exists()
    assert not Follow.objects.exists()
    assert not User.objects.exists()
    assert current(client).pk is None


def test_forgetting_a_member_keeps_the_account(client: Client, guest: User, member: User) -> None:
    log_in(client)
    client.post(reverse("forget"))
    assert not Interaction.objects.exists()
    assert current(client) == member


def test_password_change_needs_a_login_and_keeps_the_session(client: Client, member: User) -> None:
    url = reverse("change-password")
    assert client.get(url)["Location"] == f"{reverse('login')}?next={url}"
    log_in(client)
    new = "a wholly other sentence"
    fields = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post(url, fields).status_code == 302
    assert current(client) == member
    assert User.objects.get().check_password(new)
