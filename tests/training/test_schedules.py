"""Schedules: when they are due, that they start one run, and what may go live by itself."""

import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from catalog.events import Event, log_interactions
from catalog.models import AuditEntry, Catalog, Item, User
from training import schedules
from training.errors import TrainingFault
from training.leases import claim, fenced, renew
from training.models import ModelVersion, RunState, Schedule, TrainingRun
from training.runs import cancel, create_run, retry
from training.schedules import run_due, save_schedule, slots

NIGHT = datetime(2026, 3, 2, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch, empty_cache: None) -> None:
    monkeypatch.setattr(current_app, "send_task", lambda *args, **options: None)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog.objects.create(
        slug="stall", name="Stall", item_kind="product", event_weights={"view": 0.1}
    )


def nightly(catalog: Catalog, **changes: Any) -> Schedule:
    schedule = save_schedule(catalog, "train", "timetable", {"hour": 2} | changes)
    Schedule.objects.filter(pk=schedule.pk).update(done_until=NIGHT - 20 * HOUR)
    return schedule


class TestSlots:
    @pytest.mark.parametrize(
        ("hour", "every", "expected"),
        [(2, 24, [2]), (2, 12, [2, 14]), (22, 6, [4, 10, 16, 22]), (0, 1, list(range(24)))],
    )
    def test_hours_of_a_day(self, hour: int, every: int, expected: list[int]) -> None:
        schedule = Schedule(trigger="timetable", hour=hour, every_hours=every)
        midnight = NIGHT - 2 * HOUR
        found = slots(schedule, midnight - timedelta(microseconds=1), midnight + 23.5 * HOUR)
        assert [moment.hour for moment in found] == expected

    def test_ends_are_those_that_were_said(self) -> None:
        schedule = Schedule(trigger="timetable", hour=2, every_hours=24)
        assert slots(schedule, NIGHT - HOUR, NIGHT) == [NIGHT]
        assert slots(schedule, NIGHT, NIGHT + 23 * HOUR) == []
        assert len(slots(schedule, NIGHT, NIGHT + 14 * 24 * HOUR)) == 14
        assert slots(Schedule(trigger="interactions"), NIGHT, NIGHT + 99 * HOUR) == []


@pytest.mark.django_db
class TestTimetable:
    def test_starts_once(self, catalog: Catalog) -> None:
        schedule = nightly(catalog)
        assert run_due(NIGHT - HOUR) == []
        (run,) = run_due(NIGHT + timedelta(seconds=40))
        assert (run.kind, run.state, run.schedule, run.created_by) == (
            "train", "queued", schedule, None,
        )  # fmt: skip
        assert run_due(NIGHT + timedelta(seconds=41)) == []
        TrainingRun.objects.update(state=RunState.FAILED)
        assert run_due(NIGHT + 2 * HOUR) == []  # tomorrow again
        assert len(run_due(NIGHT + 24 * HOUR)) == 1
        assert schedules.last_looked() == NIGHT + 24 * HOUR

    def test_what_was_missed_is_caught_up_once_and_only_of_a_day(self, catalog: Catalog) -> None:
        nightly(catalog, every_hours=1)
        assert len(run_due(NIGHT + 5.5 * HOUR)) == 1
        TrainingRun.objects.all().delete()
        Schedule.objects.update(hour=2, every_hours=24, done_until=NIGHT - HOUR)
        assert run_due(NIGHT + 25.5 * HOUR - 24 * HOUR + 24 * HOUR) != []  # of the second night
        TrainingRun.objects.all().delete()
        assert run_due(NIGHT + 25.6 * HOUR) == []

    def test_one_that_goes_on_will_do(self, catalog: Catalog) -> None:
        nightly(catalog)
        create_run(catalog, "train")
        assert run_due(NIGHT + HOUR) == []
        TrainingRun.objects.update(state=RunState.SUCCEEDED)
        assert run_due(NIGHT + 2 * HOUR) == []

    def test_pause_and_resume(self, catalog: Catalog) -> None:
        schedule = nightly(catalog)
        schedules.pause(schedule)
        assert run_due(NIGHT + HOUR) == []
        schedules.resume(schedule)
        schedule.refresh_from_db()
        assert schedule.done_until > timezone.now() - HOUR  # nothing is caught up
        assert run_due(NIGHT + HOUR) == []

    def test_refreshes_embeddings(self, catalog: Catalog) -> None:
        schedule = save_schedule(catalog, "encode", "timetable", {"hour": 2})
        Schedule.objects.update(done_until=NIGHT - HOUR)
        (run,) = run_due(NIGHT)
        assert (run.kind, run.schedule) == ("encode", schedule)
        assert run.parameters["encoder"]["max_tokens"]

    def test_a_deleted_schedule_leaves_its_runs(self, catalog: Catalog) -> None:
        schedule = nightly(catalog)
        (run,) = run_due(NIGHT)
        schedules.delete(schedule)
        run.refresh_from_db()
        assert run.schedule is None


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_at_once_start_one_run() -> None:
    catalog = Catalog.objects.create(slug="shop", name="Larder", item_kind="product")
    nightly(catalog)
    started: list[TrainingRun] = []
    together = threading.Barrier(4)

    def look() -> None:
        together.wait()
        started.extend(run_due(NIGHT + HOUR))
        connection.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == TrainingRun.objects.count() == 1


@pytest.mark.django_db
class TestInteractions:
    def test_counts_from_the_last_training(self, catalog: Catalog) -> None:
        self.visit(catalog, days_ago=range(30))
        schedule = save_schedule(catalog, "train", "interactions", {"interactions": 20})
        assert schedules.new_interactions(schedule) == 20  # counted no further than it needs
        (run,) = run_due()
        assert run.schedule == schedule
        TrainingRun.objects.update(state=RunState.FAILED)
        assert schedules.new_interactions(schedule) == 0
        assert run_due() == []  # a training that failed is not tried again and again
        TrainingRun.objects.update(created_at=timezone.now() - timedelta(days=10, hours=1))
        assert schedules.new_interactions(schedule) == 11

    def visit(self, catalog: Catalog, days_ago: range) -> None:
        item = Item.objects.create(catalog=catalog, external_id="a", title="A")
        user = User.objects.create_user("ada")
        now = timezone.now()
        events = [
            Event(user.pk, item.pk, "view", now - timedelta(days=day), None, uuid.uuid4())
            for day in days_ago
        ]
        assert log_interactions(catalog, events).accepted == len(events)


@pytest.mark.django_db
class TestDrift:
    def test_above_the_limit_once_a_day(self, catalog: Catalog) -> None:
        schedule = save_schedule(catalog, "train", "drift", {"drift": 0.2})
        assert schedules.drift_measured(catalog, 0.1) is None
        run = schedules.drift_measured(catalog, 0.25)
        assert run is not None
        assert run.schedule == schedule
        TrainingRun.objects.update(state=RunState.SUCCEEDED)
        assert schedules.drift_measured(catalog, 0.9) is None
        assert run_due() == []


@pytest.mark.django_db
class TestBadInput:
    @pytest.mark.parametrize(
        ("kind", "trigger", "values", "fault"),
        [
            ("train", "timetable", {"hour": 24}, "hour is 0 to 23"),
            ("train", "timetable", {"every_hours": 5}, "1, 2, 3, 4, 6, 8, 12, 24 hours"),
            ("train", "interactions", {}, "after how many"),
            ("train", "interactions", {"interactions": 10**12}, "after how many"),
            ("train", "drift", {"drift": float("nan")}, "how much drift"),
            ("encode", "interactions", {"interactions": 5}, "by a timetable"),
            ("evaluate", "timetable", {}, "starts one of train, encode"),
            ("train", "moon", {}, "timetable, interactions, drift"),
        ],
    )
    def test_is_one_sentence(
        self, catalog: Catalog, kind: str, trigger: str, values: dict[str, Any], fault: str
    ) -> None:
        with pytest.raises(TrainingFault, match=fault):
            save_schedule(catalog, kind, trigger, values)

    def test_twice_the_same_and_a_change(self, catalog: Catalog) -> None:
        schedule = nightly(catalog)
        with pytest.raises(TrainingFault, match="has such a schedule already"):
            nightly(catalog)
        save_schedule(catalog, "train", "timetable", {"hour": 4}, schedule)
        assert Schedule.objects.get().when == "every day at 04:00 UTC"

    def test_the_database_refuses_nonsense_too(self, catalog: Catalog) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            Schedule.objects.create(catalog=catalog, kind="train", trigger="timetable", hour=99)


@pytest.mark.django_db
class TestPromotion:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[ModelVersion]:
        """Calls of `promote`; one whose bundle is called red is refused."""
        calls: list[ModelVersion] = []

        def promote(
            version: ModelVersion, by: User | None, reason: str, *, all_green: bool
        ) -> None:
            calls.append(version)
            assert by is None
            assert all_green
            assert "every day at 02:00 UTC" in reason
            if "red" in version.bundle_id:
                raise TrainingFault("The gate is red: it is worse.")

        monkeypatch.setattr(schedules, "promote", promote)
        return calls

    def test_only_where_allowed_and_green(
        self, catalog: Catalog, asked: list[ModelVersion]
    ) -> None:
        schedule = nightly(catalog)
        green, red = (
            ModelVersion.objects.create(catalog=catalog, bundle_id=name, digest="d")
            for name in ("green", "red")
        )
        assert "waits for a person" in schedules.promote_if_allowed(green, schedule)
        assert asked == []
        schedules.allow_promotion(catalog, True)
        assert "It is live" in schedules.promote_if_allowed(green, schedule)
        assert "The gate is red" in schedules.promote_if_allowed(red, schedule)
        assert asked == [green, red]
        schedules.allow_promotion(catalog, False)
        assert "waits for a person" in schedules.promote_if_allowed(red, schedule)


@pytest.mark.django_db
class TestAudit:
    """What the database writes of runs and schedules."""

    def entries(self, kind: str) -> list[AuditEntry]:
        return list(AuditEntry.objects.filter(kind=kind).order_by("pk"))

    def test_runs_but_not_their_heartbeats(self, catalog: Catalog) -> None:
        run = create_run(catalog, "train", {"epochs": 2})
        lease = claim(run.pk, "me")
        assert lease is not None
        with fenced(lease):
            renew(lease, "tower", 0.5)
        assert len(self.entries("run")) == 1
        cancel(run, "olga")
        TrainingRun.objects.update(state=RunState.CANCELLED)
        again = retry(run)
        created, cancelled, retried = self.entries("run")
        assert created.after["parameters"] == {"epochs": 2}
        assert cancelled.before == {"cancel_requested": False}
        assert cancelled.after == {"cancel_requested": True}
        assert retried.after["retry_of_id"] == str(run.pk)
        assert retried.row_id == str(again.pk)

    def test_not_what_workers_encode_by_themselves(self, catalog: Catalog) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL application_name = 'celery worker'")
        create_run(catalog, "encode")
        assert self.entries("run") == []
        create_run(catalog, "encode", user=User.objects.create_user("olga"))
        create_run(catalog, "train", schedule=nightly(catalog))
        assert [entry.label for entry in self.entries("run")] == ["encode", "train"]

    def test_schedules_and_not_their_mark(self, catalog: Catalog) -> None:
        schedule = nightly(catalog)
        run_due(NIGHT)
        schedules.pause(schedule)
        created, paused = self.entries("schedule")
        assert (created.label, created.catalog) == ("train", catalog.slug)
        assert (paused.before, paused.after) == ({"is_paused": False}, {"is_paused": True})


@pytest.mark.django_db
class TestCommand:
    def test_all_of_it(self, catalog: Catalog, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("schedule", "list")
        assert "there is no schedule" in capsys.readouterr().out
        call_command("schedule", "add", "stall", "train", "--hour", "3", "--every-hours", "12")
        call_command("schedule", "add", "stall", "train", "--interactions", "500")
        first, second = Schedule.objects.order_by("pk")
        call_command("schedule", "pause", str(first.pk))
        capsys.readouterr()
        call_command("schedule", "list")
        assert capsys.readouterr().out.splitlines() == [
            f"{first.pk}: Train stall every 12 hours, 03:00 UTC among them (paused)",
            f"{second.pk}: Train stall after 500 new interactions",
        ]
        call_command("schedule", "resume", str(first.pk))
        call_command("schedule", "delete", str(second.pk))
        call_command("schedule", "promotion", "stall", "on")
        catalog.refresh_from_db()
        assert (catalog.auto_promote, Schedule.objects.count()) == (True, 1)

    @pytest.mark.parametrize(
        "words",
        [
            ["add", "nowhere", "train", "--hour", "3"],
            ["add", "stall", "train", "--hour", "30"],
            ["pause", "99"],
            ["add", "stall", "train"],
        ],
    )
    def test_bad_input(self, catalog: Catalog, words: list[str]) -> None:
        with pytest.raises(CommandError):
            call_command("schedule", *words)
