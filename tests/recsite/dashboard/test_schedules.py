"""The dashboard: schedules and their calendar."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Catalog
from recsite.dashboard.calendar import calendar
from training import schedules
from training.models import Schedule, TrainingRun

pytestmark = pytest.mark.usefixtures("empty_cache")

PAGE = reverse("dashboard:schedules")
ADD = reverse("dashboard:schedule-add")
NIGHTLY = {"catalog": "shop", "kind": "train", "trigger": "timetable", "hour": 2, "every_hours": 24}


@pytest.fixture
def schedule(shop: Catalog) -> Schedule:
    return schedules.save_schedule(shop, "train", "timetable", {"hour": 2})


class TestPage:
    def test_empty_state_names_the_next_step(self, staff: Client, shop: Catalog) -> None:
        text = staff.get(PAGE).content.decode()
        assert "Nothing starts by itself yet" in text
        assert "manage.py schedule add shop train --hour 2" in text

    def test_says_when_nobody_looks(self, staff: Client, schedule: Schedule) -> None:
        assert "Nobody has looked at the schedules yet" in staff.get(PAGE).content.decode()
        schedules.run_due(timezone.now() - timedelta(minutes=20))
        assert "Nobody has looked at the schedules since" in staff.get(PAGE).content.decode()
        schedules.run_due()
        assert "Nobody has looked" not in staff.get(PAGE).content.decode()

    def test_on_drift(self, staff: Client, shop: Catalog) -> None:
        staff.post(ADD, NIGHTLY | {"trigger": "drift", "drift": "0.3"})
        assert Schedule.objects.get().drift == 0.3
        text = staff.get(PAGE).content.decode()
        assert "When the drift exceeds 0.3" in text
        assert reverse("dashboard:drift", args=["shop"]) in text
        call_command("schedule", "add", "shop", "train", "--hour", "3")
        with pytest.raises(CommandError, match="such a schedule already"):
            call_command("schedule", "add", "shop", "train", "--drift", "0.4")

    def test_queries_do_not_grow_with_runs(
        self, staff: Client, schedule: Schedule, django_assert_max_num_queries: Any
    ) -> None:
        TrainingRun.objects.bulk_create(
            TrainingRun(catalog=schedule.catalog, kind="train", state="failed", schedule=schedule)
            for _ in range(50)
        )
        with django_assert_max_num_queries(10):
            text = staff.get(PAGE).content.decode()
        assert "Train shop ×50" in text

    def test_one_catalog(self, staff: Client, schedule: Schedule) -> None:
        news = Catalog.objects.create(slug="news", name="N", item_kind="article")
        schedules.save_schedule(news, "train", "interactions", {"interactions": 7})
        assert [row.schedule.catalog.slug for row in staff.get(PAGE).context["rows"]] == [
            "shop", "news",
        ]  # fmt: skip
        answer = staff.get(f"{PAGE}?catalog=news")
        assert [row.counted for row in answer.context["rows"]] == [0]
        assert staff.get(f"{PAGE}?catalog=nix").status_code == 404


class TestForms:
    def test_add_change_pause_resume_delete(self, staff: Client, shop: Catalog) -> None:
        answer = staff.post(ADD, NIGHTLY, follow=True)
        assert "Scheduled: Train shop every day at 02:00 UTC." in answer.content.decode()
        schedule = Schedule.objects.get()
        page = reverse("dashboard:schedule", args=[schedule.pk])
        assert 'value="2"' in staff.get(page).content.decode()
        staff.post(page, NIGHTLY | {"hour": 5})
        staff.post(reverse("dashboard:schedule-pause", args=[schedule.pk]))
        schedule.refresh_from_db()
        assert (schedule.hour, schedule.is_paused) == (5, True)
        assert "Paused" in staff.get(PAGE).content.decode()
        staff.post(reverse("dashboard:schedule-resume", args=[schedule.pk]))
        staff.post(reverse("dashboard:schedule-delete", args=[schedule.pk]))
        assert not Schedule.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"hour": 24}, "The hour is 0 to 23"),
            ({"hour": "noon"}, "write numbers"),
            ({"trigger": "drift", "drift": "-1"}, "a number above 0"),
            ({"trigger": "drift", "drift": "nan"}, "write numbers"),
            ({"every_hours": 5}, "24 hours"),
            ({"catalog": "nix"}, "Choose a catalog"),
            ({"trigger": "interactions"}, "after how many new interactions"),
            ({"trigger": "interactions", "interactions": 5, "kind": "encode"}, "by a timetable"),
        ],
    )
    def test_says_what_is_wrong(
        self, staff: Client, schedule: Schedule, changes: dict[str, Any], fault: str
    ) -> None:
        for address in (ADD, reverse("dashboard:schedule", args=[schedule.pk])):
            answer = staff.post(address, NIGHTLY | changes)
            assert answer.status_code == 422, address
            assert fault in answer.content.decode()
        assert Schedule.objects.get().hour == 2

    def test_auto_promotion(self, staff: Client, shop: Catalog) -> None:
        page = reverse("dashboard:auto-promote", args=["shop"])
        for said, stored in (("yes", True), ("no", False), ("", False)):
            staff.post(page, {"allowed": said})
            shop.refresh_from_db()
            assert shop.auto_promote is stored


class TestCalendar:
    def test_what_ran_and_what_comes(self, schedule: Schedule) -> None:
        now = timezone.now().replace(hour=12, minute=0)
        shop = schedule.catalog
        states = ["succeeded", "succeeded", "failed"]
        for state in states:
            TrainingRun.objects.create(catalog=shop, kind="train", state=state, schedule=schedule)
        TrainingRun.objects.create(catalog=shop, kind="encode", state="succeeded")  # by itself
        old = TrainingRun.objects.create(catalog=shop, kind="train")
        TrainingRun.objects.filter(pk=old.pk).update(created_at=now - timedelta(days=15))
        days = calendar([schedule], now)
        assert len(days) % 7 == 0
        assert days[0].day.weekday() == 0
        today = next(day for day in days if day.is_today)
        assert {(event.state, event.count) for event in today.events} == {
            ("succeeded", 2), ("failed", 1),
        }  # fmt: skip
        failed = next(event for event in today.events if event.state == "failed")
        assert failed.url.startswith("/dashboard/runs/")
        coming = [event for day in days for event in day.events if event.state == "coming"]
        assert len(coming) == 14
        assert {event.moment.hour for event in coming} == {2}
        schedule.is_paused = True
        assert not [
            e for day in calendar([schedule], now) for e in day.events if e.state == "coming"
        ]
        assert not [e for day in calendar([], now, "news") for e in day.events]


def test_a_runs_page_says_which_schedule_started_it(staff: Client, schedule: Schedule) -> None:
    run = TrainingRun.objects.create(catalog=schedule.catalog, kind="train", schedule=schedule)
    text = staff.get(reverse("dashboard:run", args=[run.pk])).content.decode()
    assert "its schedule</a>, every day at 02:00 UTC" in text
