"""The dashboard: which role each route needs, and what a person without it gets."""

import uuid
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog import roles
from catalog.errors import CatalogError
from catalog.models import Catalog, Role, User
from recsite.dashboard.urls import urlpatterns
from tests.recsite.dashboard.pages import registered
from training import registry
from training.models import Promotion, TrainingRun

VIEWER, OPERATOR, ADMIN = Role
NEEDS = {  # route → the role to see it, the role to send its form
    "overview": (VIEWER, VIEWER),
    "train": (OPERATOR, OPERATOR),
    "pretrain": (OPERATOR, OPERATOR),
    "finetune": (OPERATOR, OPERATOR),
    "quantize": (OPERATOR, OPERATOR),
    "tune": (OPERATOR, OPERATOR),
    "distill": (OPERATOR, OPERATOR),
    "refresh": (OPERATOR, OPERATOR),
    "runs": (VIEWER, VIEWER),
    "run": (VIEWER, VIEWER),
    "run-live": (VIEWER, VIEWER),
    "runs-csv": (VIEWER, VIEWER),
    "run-compare": (VIEWER, VIEWER),
    "run-metrics": (VIEWER, VIEWER),
    "run-log": (VIEWER, VIEWER),
    "run-new": (OPERATOR, OPERATOR),
    "run-cost": (OPERATOR, OPERATOR),
    "run-notes": (OPERATOR, OPERATOR),
    "evaluate": (OPERATOR, OPERATOR),
    "pause": (OPERATOR, OPERATOR),
    "resume": (OPERATOR, OPERATOR),
    "cancel": (OPERATOR, OPERATOR),
    "retry": (OPERATOR, OPERATOR),
    "models": (VIEWER, VIEWER),
    "catalog-models": (VIEWER, VIEWER),
    "roll-back": (VIEWER, OPERATOR),
    "promote": (VIEWER, OPERATOR),
    "models-csv": (VIEWER, VIEWER),
    "model": (VIEWER, VIEWER),
    "model-csv": (VIEWER, VIEWER),
    "model-gate": (VIEWER, VIEWER),
    "playground": (VIEWER, VIEWER),
    "rehearsal": (OPERATOR, OPERATOR),
    "challenge": (OPERATOR, OPERATOR),
    "rollout-step": (OPERATOR, OPERATOR),
    "rollout-stop": (OPERATOR, OPERATOR),
    "gate-limits": (VIEWER, ADMIN),
    "delete-model": (VIEWER, ADMIN),
    "all-rules": (VIEWER, VIEWER),
    "rules": (VIEWER, VIEWER),
    "rule-add": (ADMIN, ADMIN),
    "rule-check": (VIEWER, VIEWER),
    "rule-switch": (ADMIN, ADMIN),
    "rule-remove": (ADMIN, ADMIN),
    "weights": (VIEWER, ADMIN),
    "dials": (VIEWER, ADMIN),
    "measure-dials": (OPERATOR, OPERATOR),
    "data": (VIEWER, VIEWER),
    "doctor": (VIEWER, VIEWER),
    "doctor-findings": (VIEWER, VIEWER),
    "imports": (VIEWER, OPERATOR),
    "import-file": (OPERATOR, OPERATOR),
    "import-undo": (ADMIN, ADMIN),
    "import-report": (VIEWER, VIEWER),
    "schedules": (VIEWER, VIEWER),
    "schedule-add": (ADMIN, ADMIN),
    "schedule": (ADMIN, ADMIN),
    "schedule-pause": (ADMIN, ADMIN),
    "schedule-resume": (ADMIN, ADMIN),
    "schedule-delete": (ADMIN, ADMIN),
    "auto-promote": (ADMIN, ADMIN),
    "latency": (VIEWER, VIEWER),
    "drifts": (VIEWER, VIEWER),
    "drift": (VIEWER, VIEWER),
    "drift-measure": (OPERATOR, OPERATOR),
    "drift-now": (VIEWER, VIEWER),
    "services": (VIEWER, VIEWER),
    "services-now": (VIEWER, VIEWER),
    "audit": (VIEWER, VIEWER),
    "audit-csv": (VIEWER, VIEWER),
    "people": (ADMIN, ADMIN),
}
EXAMPLES = {
    "slug": "shop",
    "run_id": uuid.UUID(int=1),
    "bundle_id": "x",
    "schedule_id": 1,
    "rule_id": 1,
    "kind": "",
    "number": 1,
    "name": "shop-x.csv",
}


def client_of(role: Role | None) -> Client:
    client = Client()
    name = role or "member"
    client.force_login(User.objects.create_user(name, is_staff=bool(role), role=role or ""))
    return client


def address(pattern: Any) -> str:
    names = pattern.pattern.converters
    return reverse(f"dashboard:{pattern.name}", kwargs={name: EXAMPLES[name] for name in names})


class TestRoutes:
    def test_every_route_says_which_role_it_needs(self) -> None:
        """A route that is new stands in the table above, with the role that it was given."""
        found = {str(one.name): getattr(one.callback, "needs", None) for one in urlpatterns}
        assert found == NEEDS

    @pytest.mark.parametrize("pattern", urlpatterns, ids=lambda pattern: str(pattern.name))
    def test_who_lacks_the_role_gets_403(
        self, pattern: Any, shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("recsite.dashboard.workers.watch.now", lambda: None)
        to_see, to_send = NEEDS[pattern.name]
        for role in (None, *Role):
            client = client_of(role)
            for method, needed in ((client.get, to_see), (client.post, to_send)):
                if role is None or not role.includes(needed):
                    answer = method(address(pattern))
                    assert answer.status_code == 403, (role, method)
                    assert f"This needs the role {needed.label.lower()}" in answer.content.decode()
        assert not TrainingRun.objects.exists()

    def test_the_refusal_says_who_can_help(self, shop: Catalog, admin: User) -> None:
        refused = client_of(VIEWER).post(reverse("dashboard:train", args=["shop"]))
        text = refused.content.decode()
        assert "Your role is viewer." in text
        assert "manage.py set_role viewer operator" in text
        assert "admin, on the page" in text
        member = client_of(None).get(reverse("dashboard:overview")).content.decode()
        assert "admin, on the page" not in member  # names of staff are for staff

    def test_operator_starts_and_viewer_does_not(self, shop: Catalog) -> None:
        train = reverse("dashboard:train", args=["shop"])
        assert client_of(VIEWER).post(train).status_code == 403
        assert not TrainingRun.objects.exists()
        assert client_of(OPERATOR).post(train).status_code == 302
        assert TrainingRun.objects.count() == 1

    def test_only_an_admin_forces(self, shop: Catalog, tmp_path: Any) -> None:
        good, bad = registered(shop, tmp_path, 0.2), registered(shop, tmp_path, 0.1)
        registry.promote(good, None, "first")
        page = reverse("dashboard:promote", args=["shop", bad.bundle_id])
        form = {"reason": "I like it", "force": "yes"}
        operator = client_of(OPERATOR)
        assert 'name="force"' not in operator.get(page).content.decode()
        assert operator.post(page, form).status_code == 403
        assert Promotion.objects.count() == 1
        assert operator.post(page, {"reason": "I like it"}).status_code == 422  # the gate
        step = reverse("dashboard:rollout-step", args=["shop", bad.bundle_id])
        assert operator.post(step, {**form, "from": "0", "share": "5"}).status_code == 403
        chief = client_of(ADMIN)
        assert 'name="force"' in chief.get(page).content.decode()
        assert chief.post(page, form).status_code == 302

    def test_a_viewer_sees_no_buttons(self, shop: Catalog, tmp_path: Any) -> None:
        version = registered(shop, tmp_path, 0.2)
        registry.promote(version, None, "first")
        other = registered(shop, tmp_path, 0.21)
        run = TrainingRun.objects.create(catalog=shop, kind="train")
        viewer = client_of(VIEWER)
        for name, args in (
            ("overview", []),
            ("run", [run.pk]),
            ("catalog-models", ["shop"]),
            ("promote", ["shop", other.bundle_id]),
            ("roll-back", ["shop"]),
            ("schedules", []),
            ("data", []),
            ("doctor", ["shop"]),
            ("imports", ["shop"]),
            ("audit", []),
            ("services", []),
            ("drift", ["shop"]),
        ):
            text = viewer.get(reverse(f"dashboard:{name}", args=args)).content.decode()
            main = text[text.index("<main") : text.index("</main>")]
            buttons = main.split("<button")[1:]
            assert not [one for one in buttons if "Filter" not in one.split("</button>")[0]], name
            assert "People</a>" not in text


class TestSetRole:
    def test_gives_changes_and_takes(self, admin: User) -> None:
        User.objects.create_user("ada")
        assert roles.set_role("ada", "operator").may_operate
        assert not roles.set_role("ada", "viewer").may_operate
        gone = roles.set_role("ada", "none")
        assert (gone.role, gone.is_staff, gone.staff_role) == ("", False, None)

    def test_a_superuser_is_admin_until_it_is_taken(self, admin: User) -> None:
        boss = User.objects.create_superuser("boss")
        assert boss.may_administer
        boss = roles.set_role("boss", "operator")
        assert (boss.is_superuser, boss.staff_role) == (False, Role.OPERATOR)

    def test_the_last_admin_stays(self, admin: User) -> None:
        User.objects.create_user("off", is_staff=True, role="admin", is_active=False)
        with pytest.raises(CatalogError, match="only admin"):
            roles.set_role("admin", "viewer")
        User.objects.create_superuser("boss")
        assert roles.set_role("admin", "viewer").staff_role == Role.VIEWER

    @pytest.mark.parametrize(
        ("name", "role"), [("nobody", "viewer"), ("admin", "king"), ("~household-1", "viewer")]
    )
    def test_nonsense_is_refused(self, admin: User, name: str, role: str) -> None:
        User.objects.create(username="~household-1", external_id="household-1")
        with pytest.raises(CatalogError, match="There is no"):
            roles.set_role(name, role)

    def test_a_role_is_for_staff_and_staff_without_one_only_look(self) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.create(username="ada", role="admin")
        assert User(is_staff=True).staff_role == Role.VIEWER
        assert User(role="admin").staff_role is None

    def test_the_command(self, admin: User, capsys: pytest.CaptureFixture[str]) -> None:
        User.objects.create_user("ada")
        call_command("set_role", "ada", "operator")
        assert capsys.readouterr().out == "ada: operator\n"
        with pytest.raises(CommandError, match="There is no account 'bob'"):
            call_command("set_role", "bob", "viewer")


def test_who_was_staff_before_there_were_roles_is_an_admin(db: None) -> None:
    migration = import_module("catalog.migrations.0007_roles_and_audit")
    User.objects.create_user("chief", is_staff=True)
    User.objects.create_user("boss", is_superuser=True)
    User.objects.create_user("ada")
    with connection.cursor() as cursor:
        cursor.execute(migration.KEEP_STAFF)
    kept = User.objects.order_by("username").values_list("username", "role", "is_staff")
    assert list(kept) == [("ada", "", False), ("boss", "admin", True), ("chief", "admin", True)]


class TestPeople:
    def test_lists_and_gives(
        self, staff: Client, admin: User, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(20):
            User.objects.create_user(f"v{number}", is_staff=True, role="viewer")
        User.objects.create_user("ada")
        page = reverse("dashboard:people")
        with django_assert_max_num_queries(4):
            assert "v19" in staff.get(page).content.decode()
        answer = staff.post(page, {"username": "ada", "role": "operator"}, follow=True)
        assert "ada is operator now." in answer.content.decode()
        assert User.objects.get(username="ada").staff_role == Role.OPERATOR
        assert "Take the role of ada away" in answer.content.decode()  # it asks, in its own place

    def test_sorts_by_its_columns(self, staff: Client, admin: User) -> None:
        now = timezone.now()
        for name, role, seen in (("ann", "viewer", None), ("zoe", "operator", now)):
            User.objects.create_user(name, is_staff=True, role=role, last_login=seen)
        page = reverse("dashboard:people")

        def names(sort: str) -> list[str]:
            answer = staff.get(f"{page}?sort={sort}")
            assert answer.content.decode().count("aria-sort=") == 3
            return [person.username for person in answer.context["staff"]]

        User.objects.filter(pk=admin.pk).update(last_login=now - timedelta(days=1))
        assert names("") == ["admin", "ann", "zoe"]
        assert names("-name") == ["zoe", "ann", "admin"]
        assert names("role") == ["ann", "zoe", "admin"]
        assert names("-seen") == ["zoe", "admin", "ann"]
        assert names("seen") == ["admin", "zoe", "ann"]

    @pytest.mark.parametrize(
        ("form", "fault"),
        [
            ({"username": "bob", "role": "viewer"}, "There is no account"),
            ({"username": "admin", "role": "none"}, "only admin"),
            ({"username": "admin", "role": "king"}, "choose one from the list"),
            ({}, "Say whose role"),
        ],
    )
    def test_says_what_is_wrong(self, staff: Client, form: dict[str, str], fault: str) -> None:
        answer = staff.post(reverse("dashboard:people"), form)
        assert answer.status_code == 422
        assert fault in answer.content.decode()
