import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import current_app
from django.core.management import CommandError
from django.db import close_old_connections, connection
from django.db.models.functions import Now
from kombu.exceptions import OperationalError as BrokerAway

from catalog.models import Catalog
from training import runs, watcher
from training.console import follow
from training.errors import RunCancelled, StaleLease, TrainingFault
from training.handle import RunHandle
from training.leases import Lease, claim, fenced, finish, release
from training.models import RunLogLine, RunMetric, RunState, TrainingRun

FAKE = Path(__file__).parent / "fake_runs.py"


@pytest.fixture
def shop(db: None) -> Catalog:
    return Catalog.objects.create(slug="shop", name="Larder", item_kind="product")


@pytest.fixture
def committed_shop(transactional_db: None) -> Catalog:
    """For tests in which another thread or process reads what this one wrote."""
    return Catalog.objects.create(slug="shop", name="Larder", item_kind="product")


@pytest.fixture(autouse=True)
def places(settings: Any, tmp_path: Path) -> None:
    settings.RUN_DIR = tmp_path / "runs"
    settings.RUN_LEASE_SECONDS = 5
    settings.RUN_CANCEL_GRACE_SECONDS = 2


@pytest.fixture
def processes(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Real processes, which work on the test's own database."""
    settings.RUN_COMMAND = [sys.executable, str(FAKE)]
    url = urlsplit(settings.DATABASE_URL)
    name = connection.settings_dict["NAME"]
    monkeypatch.setenv("DATABASE_URL", url._replace(path=f"/{name}").geturl())
    monkeypatch.setenv("TEST_RUN_DIR", str(settings.RUN_DIR))
    monkeypatch.setenv("RUN_LEASE_SECONDS", "5")
    monkeypatch.setenv("RUN_CANCEL_GRACE_SECONDS", "2")
    yield
    watcher.STOPPING.clear()


def queued(catalog: Catalog, kind: str = "train", **parameters: Any) -> TrainingRun:
    return TrainingRun.objects.create(catalog=catalog, kind=kind, parameters=parameters)


def expire(run: TrainingRun) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(lease_expires_at=Now() - timedelta(seconds=1))


def taken(run: TrainingRun, owner: str = "here") -> Lease:
    lease = claim(run.pk, owner)
    assert lease is not None
    return lease


def in_background(work: Callable[[], object]) -> threading.Thread:
    def whole() -> None:
        try:
            work()
        finally:
            close_old_connections()
            connection.close()

    thread = threading.Thread(target=whole)
    thread.start()
    return thread


def check_for(handle: RunHandle, seconds: float) -> None:
    """What training code does: check, again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        handle.check()
        time.sleep(0.01)


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


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


@pytest.mark.slow
@pytest.mark.usefixtures("processes")
class TestProcess:
    def test_succeeds(self, committed_shop: Catalog, settings: Any) -> None:
        run = queued(committed_shop, steps=5)
        assert watcher.claim_and_watch(run.pk)
        run.refresh_from_db()
        assert (run.state, run.error, run.progress) == ("succeeded", "", 1.0)
        assert run.code_version
        assert run.environment["python"]
        assert run.metrics.count() == 5
        assert not (settings.RUN_DIR / str(run.pk)).exists()

    def test_a_killed_process_goes_on_from_its_checkpoint(
        self, committed_shop: Catalog, settings: Any
    ) -> None:
        run = queued(committed_shop, steps=8, die_at=4)
        watcher.claim_and_watch(run.pk)
        run.refresh_from_db()
        assert (run.state, run.attempts) == ("queued", 1)
        assert run.log_lines.filter(text__contains="killed by SIGKILL").exists()
        watcher.claim_and_watch(run.pk)
        run.refresh_from_db()
        assert (run.state, run.attempts) == ("succeeded", 2)
        notes = (settings.RUN_DIR / f"{run.pk}.notes").read_text().split()
        assert notes == [str(step) for step in range(8)]  # no step was done twice
        assert run.log_lines.filter(text="Attempt 2: resumed.").exists()

    def test_a_killed_worker_leaves_a_run_that_another_takes_over(
        self, committed_shop: Catalog
    ) -> None:
        """Watcher and process both die: only the lease tells."""
        run = queued(committed_shop, kind="evaluate", how="deaf")
        background = in_background(lambda: watcher.claim_and_watch(run.pk))
        wait_for(lambda: TrainingRun.objects.get(pk=run.pk).environment != {})
        TrainingRun.objects.filter(pk=run.pk).update(fencing_token=99)  # nobody's any more
        background.join(timeout=10)
        assert not background.is_alive()  # the watcher killed the process that lost its lease
        expire(run)
        assert taken(run, "another").token == 100

    def test_cancel_within_seconds(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop)
        background = in_background(lambda: watcher.claim_and_watch(run.pk))
        wait_for(lambda: RunMetric.objects.filter(run=run).exists())
        started = time.monotonic()
        runs.cancel(run, "admin")
        wait_for(lambda: TrainingRun.objects.get(pk=run.pk).is_over, 6)
        assert time.monotonic() - started < 4
        background.join()
        run.refresh_from_db()
        assert (run.state, run.error) == ("cancelled", "")

    def test_a_deaf_process_is_killed(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop, kind="evaluate", how="deaf")
        background = in_background(lambda: watcher.claim_and_watch(run.pk))
        wait_for(lambda: TrainingRun.objects.get(pk=run.pk).environment != {})
        runs.cancel(run, "admin")
        background.join(timeout=10)
        run.refresh_from_db()
        assert run.state == "cancelled"

    def test_a_worker_that_stops_hands_its_run_back(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop)
        background = in_background(lambda: watcher.claim_and_watch(run.pk))
        wait_for(lambda: RunMetric.objects.filter(run=run).exists())
        watcher.STOPPING.set()
        background.join(timeout=10)
        run.refresh_from_db()
        assert (run.state, run.attempts) == ("queued", 0)

    def test_an_orphan_hands_its_run_back(self, committed_shop: Catalog) -> None:
        """The worker alone is killed with -9; its run's process sees that and stops."""
        run = queued(committed_shop)
        code = (
            "import django; django.setup(); import uuid; from training import watcher;"
            "from django.conf import settings; import os; from pathlib import Path;"
            "settings.RUN_DIR = Path(os.environ['TEST_RUN_DIR']);"
            f"settings.RUN_COMMAND = {[sys.executable, str(FAKE)]!r};"
            f"watcher.claim_and_watch(uuid.UUID('{run.pk}'))"
        )
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "recsite.settings"}
        worker = subprocess.Popen([sys.executable, "-c", code], env=environment)
        wait_for(lambda: RunMetric.objects.filter(run=run).exists(), 30)
        worker.kill()
        worker.wait()
        wait_for(lambda: TrainingRun.objects.get(pk=run.pk).state == "queued")
        run.refresh_from_db()
        assert run.attempts == 0

    def test_ctrl_c_in_the_foreground_cancels_at_once(self, committed_shop: Catalog) -> None:
        run, lease = runs.create_claimed(committed_shop, "train", "here")

        def interrupt(text: str) -> None:
            if "counting" in text:
                raise KeyboardInterrupt

        with pytest.raises(CommandError, match="cancelled"):
            follow(run, lease, interrupt)
        run.refresh_from_db()
        assert (run.state, run.cancel_requested) == ("cancelled", True)

    def test_in_the_foreground_a_killed_process_is_resumed(self, committed_shop: Catalog) -> None:
        wishes = {"steps": 8, "die_at": 4}
        run, lease = runs.create_claimed(committed_shop, "train", "here", wishes)
        told: list[str] = []
        follow(run, lease, told.append)
        run.refresh_from_db()
        assert (run.state, run.attempts) == ("succeeded", 2)
        assert any("killed by SIGKILL" in line for line in told)
        assert told[-1] == "[100%] done"

    def test_a_failure_in_the_foreground_is_one_line(self, committed_shop: Catalog) -> None:
        run, lease = runs.create_claimed(committed_shop, "evaluate", "here", {"how": "fault"})
        with pytest.raises(CommandError, match="failed: There are no interactions yet"):
            follow(run, lease, lambda text: None)

    def test_a_fault_is_one_sentence(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop, kind="evaluate", how="fault")
        watcher.claim_and_watch(run.pk)
        run.refresh_from_db()
        assert (run.state, run.error) == (
            "failed",
            "There are no interactions yet; import some.",
        )

    def test_a_passing_fault_is_tried_again(self, committed_shop: Catalog) -> None:
        run = queued(committed_shop, kind="evaluate", how="passing")
        watcher.claim_and_watch(run.pk)
        run.refresh_from_db()
        assert (run.state, run.attempts) == ("queued", 1)

    def test_a_bug_is_told_shortly_and_its_traceback_is_in_the_log(
        self, committed_shop: Catalog
    ) -> None:
        run = queued(committed_shop, kind="evaluate", how="bug")
        watcher.claim_and_watch(run.pk)
        run.refresh_from_db()
        assert run.state == "failed"
        assert run.error == "ValueError: shapes (3,) and (4,) differ (the log has the details)."
        assert run.log_lines.filter(text__startswith="Traceback").exists()

    def test_a_process_that_dies_each_time_fails_in_the_end(
        self, committed_shop: Catalog, settings: Any
    ) -> None:
        settings.RUN_MAX_ATTEMPTS = 2
        run = queued(committed_shop, kind="evaluate", how="die")
        watcher.claim_and_watch(run.pk)
        watcher.claim_and_watch(run.pk)
        run.refresh_from_db()
        assert run.state == "failed"
        assert "killed 2 times" in run.error

    def test_a_process_that_cannot_start_says_why(
        self, committed_shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TEST_RUN_START", "broken")
        run = queued(committed_shop)
        watcher.claim_and_watch(run.pk)
        run.refresh_from_db()
        assert run.state == "failed"
        assert "no training today" in run.error


class TestTidy:
    def test_checkpoints_go_a_week_after_the_end(self, shop: Catalog) -> None:
        old, recent, waiting = queued(shop), queued(shop), queued(shop)
        for run in (old, recent):
            runs.cancel(run, "admin")
        TrainingRun.objects.filter(pk=old.pk).update(ended_at=Now() - timedelta(days=8))
        folders = [runs.run_folder(run.pk) for run in (old, recent, waiting)]
        runs.tidy()
        assert [folder.exists() for folder in folders] == [False, True, True]
