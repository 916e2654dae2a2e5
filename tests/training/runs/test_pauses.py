"""Pausing a run and having it go on: without processes, and with one."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone

from catalog.models import AuditEntry, Catalog
from tests.training.runs.lives import check_for, expire, in_background, queued, taken, wait_for
from training import runs, watcher
from training.console import follow, run_here
from training.errors import RunCancelled, RunPaused, StaleLease
from training.handle import RunHandle
from training.leases import claim, fenced, release
from training.models import RunLogLine, RunMetric, TrainingRun


class TestPause:
    def test_a_queued_run_is_held_at_once_and_no_worker_takes_it(self, shop: Catalog) -> None:
        run = queued(shop)
        assert runs.pause(run, "admin")
        run.refresh_from_db()
        assert run.state == "paused"
        assert claim(run.pk, "here") is None
        assert runs.sweep() == 0
        assert RunLogLine.objects.get(run=run).text == "admin asked to pause this run."
        assert not runs.pause(run, "admin")

    def test_a_released_run_is_paused_and_the_attempt_does_not_count(self, shop: Catalog) -> None:
        run = queued(shop)
        lease = taken(run)
        runs.pause(run, "admin")
        run.refresh_from_db()
        assert (run.state, run.standing) == ("running", "pausing")
        release(lease, counts=False)
        run.refresh_from_db()
        assert (run.state, run.attempts) == ("paused", 0)
        with pytest.raises(StaleLease), fenced(lease):
            pass

    def test_an_abandoned_run_is_paused_and_its_holder_is_shut_out(self, shop: Catalog) -> None:
        run = queued(shop)
        lease = taken(run)
        runs.pause(run, "admin")
        expire(run)
        assert claim(run.pk, "another") is None
        runs.sweep()
        run.refresh_from_db()
        assert run.state == "paused"
        with pytest.raises(StaleLease):
            release(lease, counts=False)

    def test_a_paused_run_can_be_cancelled_and_repeated(self, shop: Catalog) -> None:
        run = queued(shop, epochs=3)
        runs.pause(run, "admin")
        again = runs.retry(run, parameters={"epochs": 4}, seed=9)
        assert (again.parameters, again.seed, again.retry_of) == ({"epochs": 4}, 9, run)
        assert claim(again.pk, "here") is not None
        assert runs.cancel(run, "admin")
        run.refresh_from_db()
        assert run.state == "cancelled"
        assert not runs.resume(run, "admin")

    def test_what_is_being_cancelled_or_over_is_not_paused(self, shop: Catalog) -> None:
        run = queued(shop)
        taken(run)
        runs.cancel(run, "admin")
        assert not runs.pause(run, "admin")

    def test_resume_puts_it_back_and_the_pause_is_not_counted_as_work(self, shop: Catalog) -> None:
        run = queued(shop)
        lease = taken(run)
        runs.pause(run, "admin")
        TrainingRun.objects.filter(pk=run.pk).update(progress=0.4)
        release(lease, counts=False)
        hour = timedelta(hours=1)
        TrainingRun.objects.filter(pk=run.pk).update(
            started_at=F("started_at") - 2 * hour, heartbeat_at=F("heartbeat_at") - hour
        )
        run.refresh_from_db()
        assert run.seconds == pytest.approx(3600, abs=5)
        assert runs.resume(run, "admin")
        taken(run)
        run.refresh_from_db()
        assert (run.attempts, run.resumed_from, run.pause_requested) == (1, 0.4, False)
        assert run.seconds == pytest.approx(3600, abs=5)
        assert timezone.now() - run.started_at > 1.9 * hour  # type: ignore[operator]

    def test_a_pause_that_is_taken_back_before_it_is_felt_leaves_it_running(
        self, shop: Catalog
    ) -> None:
        run = queued(shop)
        taken(run)
        runs.pause(run, "admin")
        assert runs.resume(run, "admin")
        run.refresh_from_db()
        assert run.standing == "running"


class TestAudit:
    def test_tells_of_a_pause_and_of_a_note(self, shop: Catalog) -> None:
        run = queued(shop)
        runs.pause(run, "admin")
        runs.annotate(run, ["best"], "why")
        told = AuditEntry.objects.filter(kind="run", action="changed").order_by("pk")
        assert [entry.after for entry in told] == [
            {"pause_requested": True},
            {"tags": ["best"], "note": "why"},
        ]


class TestHandle:
    def test_a_pause_is_felt_and_a_cancel_outdoes_it(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop)
        with RunHandle(run, taken(run)) as handle:
            runs.pause(run, "admin")
            with pytest.raises(RunPaused):
                check_for(handle, 3)
            runs.cancel(run, "admin")
            wait_for(lambda: handle._stop is RunCancelled, 3)

    def test_a_run_within_a_command_ends_and_says_why(self, committed_shop: Catalog) -> None:
        def measure() -> None:
            with run_here(committed_shop, "evaluate", {}, 1, lambda text: None) as handle:
                runs.pause(handle.run, "admin")
                check_for(handle, 3)

        with pytest.raises(CommandError, match="no worker can go on with"):
            measure()
        assert TrainingRun.objects.get().state == "cancelled"


class TestCommands:
    def test_pause_resume_and_notes(self, shop: Catalog) -> None:
        run = queued(shop)
        call_command("pause_run", str(run.pk), stdout=StringIO())
        with pytest.raises(CommandError, match="cannot be paused: it is paused"):
            call_command("pause_run", str(run.pk))
        call_command("resume_run", str(run.pk), stdout=StringIO())
        with pytest.raises(CommandError, match="not paused: it is queued"):
            call_command("resume_run", str(run.pk))
        said = StringIO()
        call_command("note_run", str(run.pk), tag=["Best", " night "], note="why", stdout=said)
        call_command("note_run", str(run.pk), untag=["night"], stdout=said)
        run.refresh_from_db()
        assert (run.tags, run.note) == (["best"], "why")
        with pytest.raises(CommandError, match="at most 12 tags"):
            call_command("note_run", str(run.pk), tag=["x" * 41])

    def test_retry_with_changes(self, shop: Catalog) -> None:
        run = queued(shop, epochs=3, rounds=10)
        runs.cancel(run, "admin")
        call_command("retry_run", str(run.pk), param=["epochs=5"], seed=7, stdout=StringIO())
        again = TrainingRun.objects.get(retry_of=run)
        assert (again.parameters, again.seed) == ({"epochs": 5, "rounds": 10}, 7)
        with pytest.raises(CommandError, match="Epochs of the tower: at most"):
            call_command("retry_run", str(run.pk), param=["epochs=100000"])
        with pytest.raises(CommandError, match="no parameter epoch"):
            call_command("retry_run", str(run.pk), param=["epoch=5"])


@pytest.mark.slow
@pytest.mark.usefixtures("processes")
def test_a_paused_process_goes_on_from_its_checkpoint(committed_shop: Catalog) -> None:
    run = queued(committed_shop, steps=60)
    background = in_background(lambda: watcher.claim_and_watch(run.pk))
    wait_for(lambda: RunMetric.objects.filter(run=run).exists())
    runs.pause(run, "admin")
    background.join(timeout=10)
    run.refresh_from_db()
    assert (run.state, run.attempts, run.error) == ("paused", 0, "")
    done = run.metrics.count()
    assert 0 < done < 60
    assert not watcher.claim_and_watch(run.pk)
    runs.resume(run, "admin")
    assert watcher.claim_and_watch(run.pk)
    run.refresh_from_db()
    assert (run.state, run.attempts, run.metrics.count()) == ("succeeded", 1, 60)
    assert run.log_lines.filter(text="Attempt 1: resumed.").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("processes")
def test_in_the_foreground_a_pause_says_how_it_goes_on(committed_shop: Catalog) -> None:
    run, lease = runs.create_claimed(committed_shop, "train", "here", {"steps": 60})

    def say(text: str) -> None:
        if "counting" in text:
            runs.pause(run, "admin")

    with pytest.raises(CommandError, match=f"resume_run {run.pk}"):
        follow(run, lease, say)
