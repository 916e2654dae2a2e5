"""Real processes that are cancelled, killed and resumed."""

import os
import subprocess
import sys
import time
from typing import Any

import pytest
from django.core.management import CommandError

from catalog.models import Catalog
from tests.training.runs.lives import FAKE, expire, in_background, queued, taken, wait_for
from training import runs, watcher
from training.console import follow
from training.models import RunMetric, TrainingRun


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
