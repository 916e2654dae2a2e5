"""The dashboard: the audit log, its filter and its file."""

import csv
import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from catalog.actor import acting_as
from catalog.models import AuditEntry, Catalog, User
from catalog.roles import set_role
from recsite import audit_file

PAGE = reverse("dashboard:audit")


def kinds(answer: Any) -> set[str]:
    return {entry.kind for entry in answer.context["page"]}


class TestPage:
    def test_what_a_button_did_stands_there_with_its_sender(
        self, staff: Client, shop: Catalog
    ) -> None:
        staff.post(reverse("dashboard:train", args=["shop"]))
        staff.post(reverse("dashboard:auto-promote", args=["shop"]), {"allowed": "yes"})
        text = staff.get(f"{PAGE}?who=admin").content.decode()
        assert "Run created" in text
        assert "auto promote" in text
        assert "<del>no</del>" in text
        assert "<ins>yes</ins>" in text
        Catalog.objects.update(diversity=0.9)
        assert AuditEntry.objects.latest("pk").who != "admin"  # the name went with the request

    def test_filter_and_page_stand_in_the_address(
        self, staff: Client, shop: Catalog, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(60):
            Catalog.objects.update(diversity=number / 100)
        with acting_as("olga"):
            set_role("admin", "admin")
            User.objects.create_user("ada")
            set_role("ada", "viewer")
        with django_assert_max_num_queries(8):
            answer = staff.get(f"{PAGE}?kind=catalog&catalog=shop&page=2")
        assert kinds(answer) == {"catalog"}
        assert "?kind=catalog&amp;catalog=shop&amp;page=1" in answer.content.decode()
        olga = staff.get(f"{PAGE}?who=olga")
        assert (kinds(olga), len(olga.context["page"])) == ({"role"}, 1)
        assert "Nothing fits this filter" in staff.get(f"{PAGE}?who=bob").content.decode()
        assert len(staff.get(f"{PAGE}?until=2020-01-01").context["page"]) == 0

    @pytest.mark.parametrize("address", [PAGE, reverse("dashboard:audit-csv")])
    def test_a_day_that_is_none(self, staff: Client, address: str) -> None:
        answer = staff.get(f"{address}?since=yesterday")
        assert answer.status_code == 422
        assert "Write days like 2026-01-31." in answer.content.decode()


class TestFile:
    def test_the_same_entries_as_the_page(self, staff: Client, shop: Catalog) -> None:
        with acting_as("=cmd()"):
            Catalog.objects.update(event_weights={"view": 0.2})
        answer = staff.get(f"{reverse('dashboard:audit-csv')}?kind=catalog")
        assert "attachment" in answer["Content-Disposition"]
        body = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
        heading, changed, created = csv.reader(io.StringIO(body))
        assert tuple(heading) == audit_file.COLUMNS
        assert changed[1] == "'=cmd()"  # a spreadsheet must not compute it
        assert changed[3:7] == ["changed", "catalog", "shop", "shop"]
        assert changed[9] == '{"event_weights": {"view": 0.2}}'
        assert created[3] == "created"

    def test_the_command_prints_it(self, shop: Catalog, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("export_audit", "--kind", "catalog")
        assert "created,catalog,shop,shop" in capsys.readouterr().out
        with pytest.raises(CommandError, match="no day like"):
            call_command("export_audit", "--since", "yesterday")
