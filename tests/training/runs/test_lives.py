"""Leases, cancelling and retrying, handles, tidying: without processes."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db.models.functions import Now
from kombu.exceptions import OperationalError as BrokerAway

from catalog.models import Catalog
from tests.training.runs.lives import check_for, expire, in_background, queued, taken
from training import runs
from training.errors import RunCancelled, StaleLease, TrainingFault
from training.handle import RunHandle
from training.leases import Lease, claim, fenced, finish, release
from training.models import RunLogLine, RunMetric, RunState, TrainingRun


class TestClaim:
    def test_takes_a_queued_run_once(self, shop: Catalog) -> None:
        run = queued(shop)
        lease = taken(run)
        assert claim(run.pk, "somebody else") is None
        run.refresh_from_db()
        assert (run.state, run.attempts, run.fencing_token) == ("running", 1, lease.token)
        assert run.started_at is not None
        assert run.lease_expires_at is not None

    def test_takes_over_after_the_lease_and_shuts_the_old_holder_out(self, shop: Catalog) -> None:
        run = queued(shop)
        old = taken(run)
        expire(run)
        new = taken(run, "another")
        assert new.token == old.token + 1
        with pytest.raises(StaleLease), fenced(old):
            pass
        with pytest.raises(StaleLease):
            finish(old, RunState.SUCCEEDED)
        finish(new, RunState.SUCCEEDED)
        run.refresh_from_db()
        assert (run.state, run.progress) == ("succeeded", 1.0)

    def test_one_running_run_of_a_kind_in_a_catalog(self, shop: Catalog) -> None:
        taken(queued(shop))
        assert claim(queued(shop).pk, "here") is None
        taken(queued(shop, kind="encode"))

    def test_two_workers_at_once(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop)
        leases: list[Lease | None] = []
        barrier = threading.Barrier(8)

        def race() -> None:
            barrier.wait()
            leases.append(claim(run.pk, threading.current_thread().name))

        for thread in [in_background(race) for _ in range(8)]:
            thread.join()
        assert len([lease for lease in leases if lease]) == 1

    def test_gives_up_after_the_last_attempt(self, shop: Catalog, settings: Any) -> None:
        settings.RUN_MAX_ATTEMPTS = 2
        run = queued(shop)
        for _ in range(2):
            taken(run)
            expire(run)
        assert claim(run.pk, "here") is None
        runs.sweep()
        run.refresh_from_db()
        assert run.state == "failed"
        assert "died 2 times" in run.error

    def test_an_orderly_interruption_is_no_attempt(self, shop: Catalog) -> None:
        run = queued(shop)
        release(taken(run), counts=False)
        run.refresh_from_db()
        assert (run.state, run.attempts, run.lease_owner) == ("queued", 0, "")


class TestCreate:
    def test_a_worker_is_told_after_the_commit(
        self,
        shop: Catalog,
        monkeypatch: pytest.MonkeyPatch,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        sent: list[tuple[str, list[str]]] = []
        monkeypatch.setattr(
            current_app, "send_task", lambda name, args, **_: sent.append((name, args))
        )
        with django_capture_on_commit_callbacks(execute=True):
            run = runs.create_run(shop, "train", {"epochs": 2}, seed=7)
            assert sent == []
        assert sent == [(runs.WAKE_TASK, [str(run.pk)])]
        assert (run.state, run.parameters, run.seed) == ("queued", {"epochs": 2}, 7)

    def test_without_a_broker_the_row_waits(
        self,
        shop: Catalog,
        monkeypatch: pytest.MonkeyPatch,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        def away(*args: Any, **options: Any) -> None:
            raise BrokerAway("connection refused")

        monkeypatch.setattr(current_app, "send_task", away)
        with django_capture_on_commit_callbacks(execute=True):
            run = runs.create_run(shop, "train")
        run.refresh_from_db()
        assert run.state == "queued"
        assert runs.sweep() == 1

    def test_in_the_foreground_only_one_of_a_kind(self, shop: Catalog) -> None:
        run, lease = runs.create_claimed(shop, "train", "here")
        assert (run.state, run.fencing_token) == ("running", lease.token)
        with pytest.raises(TrainingFault, match="going on already"):
            runs.create_claimed(shop, "train", "here")
        assert TrainingRun.objects.count() == 1


class TestCancelAndRetry:
    def test_a_queued_run_ends_at_once(self, shop: Catalog) -> None:
        run = queued(shop)
        assert runs.cancel(run, "admin")
        run.refresh_from_db()
        assert run.state == "cancelled"
        assert run.ended_at is not None
        assert claim(run.pk, "here") is None
        assert not runs.cancel(run, "admin")

    def test_an_abandoned_run_ends_at_once_and_its_holder_is_shut_out(self, shop: Catalog) -> None:
        run = queued(shop)
        lease = taken(run)
        expire(run)
        runs.cancel(run, "admin")
        run.refresh_from_db()
        assert run.state == "cancelled"
        with pytest.raises(StaleLease):
            finish(lease, RunState.SUCCEEDED)

    def test_a_running_run_is_asked(self, shop: Catalog) -> None:
        run = queued(shop)
        taken(run)
        runs.cancel(run, "admin")
        run.refresh_from_db()
        assert (run.state, run.cancel_requested) == ("running", True)
        assert RunLogLine.objects.get(run=run).text == "admin asked to cancel this run."

    def test_retry_is_a_new_run_with_the_same_wishes(self, shop: Catalog) -> None:
        run = queued(shop, epochs=3)
        with pytest.raises(TrainingFault, match="not over yet"):
            runs.retry(run)
        runs.cancel(run, "admin")
        again = runs.retry(run)
        assert again.pk != run.pk
        assert (again.retry_of, again.kind, again.parameters) == (run, "train", {"epochs": 3})


class TestHandle:
    def test_what_is_reported_arrives(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop)
        with RunHandle(run, taken(run)) as handle:
            handle.stage("tower", 0.25)
            handle.metric("loss", 1, 0.9)
            handle.metric("loss", 1, 0.8)  # replaces
            handle.log("epoch 1")
            handle.check()
        run.refresh_from_db()
        assert (run.stage, run.progress) == ("tower", 0.25)
        assert list(RunMetric.objects.values_list("name", "step", "value")) == [("loss", 1, 0.8)]
        assert RunLogLine.objects.get().text == "epoch 1"

    def test_a_part_reports_fractions_of_itself(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop)
        with RunHandle(run, taken(run)) as handle, handle.part(0.2, 0.4):
            handle.stage("encoding", 0.5)
        run.refresh_from_db()
        assert run.progress == pytest.approx(0.3)

    def test_a_resumed_run_overwrites_its_points(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop)
        lease = taken(run)
        for value in (0.9, 0.7):
            with RunHandle(run, lease) as handle:
                handle.metric("loss", 5, value)
        assert RunMetric.objects.get().value == 0.7

    def test_a_cancel_is_felt_within_two_seconds(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop)
        with RunHandle(run, taken(run)) as handle:
            runs.cancel(run, "admin")
            with pytest.raises(RunCancelled):
                check_for(handle, 2)

    def test_a_stale_process_stops_and_writes_nothing(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop)
        old = taken(run)

        def go_on() -> None:
            with RunHandle(run, old) as handle:
                expire(run)
                taken(run, "another")
                handle.log("written too late")
                handle.stage("stolen", 0.9)
                check_for(handle, 3)

        with pytest.raises(StaleLease):
            go_on()
        run.refresh_from_db()
        assert run.stage == "starting"
        assert not RunLogLine.objects.exists()


class TestTidy:
    def test_checkpoints_go_a_week_after_the_end(self, shop: Catalog) -> None:
        old, recent, waiting = queued(shop), queued(shop), queued(shop)
        for run in (old, recent):
            runs.cancel(run, "admin")
        TrainingRun.objects.filter(pk=old.pk).update(ended_at=Now() - timedelta(days=8))
        folders = [runs.run_folder(run.pk) for run in (old, recent, waiting)]
        runs.tidy()
        assert [folder.exists() for folder in folders] == [False, True, True]
