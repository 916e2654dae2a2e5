"""The dashboard: runs, and the page of one."""

import re
from datetime import timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Catalog
from training.models import RunLogLine, RunMetric, TrainingRun


def mark_of(text: str) -> str:
    """What the page asks with again, so that nothing is sent where nothing has changed."""
    found = re.search(r"mark=([^\"]+)\"", text)
    assert found
    return found.group(1)


class TestRuns:
    def test_empty_states_name_the_next_step(self, staff: Client) -> None:
        assert "manage.py train shop" in staff.get("/dashboard/runs/").content.decode()
        filtered = staff.get("/dashboard/runs/?state=failed").content.decode()
        assert "No run fits this filter" in filtered

    def test_filter_and_pages_stand_in_the_address(self, staff: Client, shop: Catalog) -> None:
        for number in range(30):
            state = "failed" if number % 3 == 0 else "cancelled"
            TrainingRun.objects.create(catalog=shop, kind="train", state=state)
        assert staff.get("/dashboard/runs/?state=failed").context["page"].paginator.count == 10
        answer = staff.get("/dashboard/runs/?state=cancelled&kind=train&catalog=shop")
        assert answer.context["page"].paginator.count == 20
        second = staff.get("/dashboard/runs/?kind=train&page=2")
        assert len(second.context["page"].object_list) == 5
        assert "?kind=train&amp;page=1" in second.content.decode()

    def test_the_list_polls_only_while_something_is_on_its_way(
        self, staff: Client, shop: Catalog, django_assert_max_num_queries: Any
    ) -> None:
        run = TrainingRun.objects.create(catalog=shop, kind="train")
        for _ in range(20):
            TrainingRun.objects.create(catalog=shop, kind="encode", state="succeeded")
        fragment = {"HX-Request": "true"}
        with django_assert_max_num_queries(6):
            answer = staff.get("/dashboard/runs/", headers=fragment)
        assert (answer.status_code, b"hx-trigger" in answer.content) == (200, True)
        mark = mark_of(answer.content.decode())
        same = staff.get(f"/dashboard/runs/?page=1&mark={mark}", headers=fragment)
        assert same.status_code == 204
        TrainingRun.objects.filter(pk=run.pk).update(stage="tower")
        same = staff.get(f"/dashboard/runs/?page=1&mark={mark}", headers=fragment)
        assert same.status_code == 200
        TrainingRun.objects.filter(pk=run.pk).update(state="cancelled")
        answer = staff.get("/dashboard/runs/", headers=fragment)
        assert (answer.status_code, b"hx-trigger" in answer.content) == (286, False)

    def test_paused_runs_are_not_polled_for(self, staff: Client, shop: Catalog) -> None:
        TrainingRun.objects.create(catalog=shop, kind="train", state="paused")
        assert b"hx-trigger" not in staff.get("/dashboard/runs/").content

    def test_sorts_by_its_columns(self, staff: Client, shop: Catalog) -> None:
        now = timezone.now()
        for number, best in ((3, 0.2), (1, 0.9), (2, float("nan"))):
            run = TrainingRun.objects.create(
                catalog=shop,
                kind="train",
                state="succeeded",
                started_at=now - timedelta(hours=number),
                ended_at=now,
            )
            RunMetric.objects.create(run=run, name="tower/valid_ndcg", step=1, value=best)
            RunMetric.objects.create(run=run, name="tower/train_loss", step=1, value=9)

        def hours(sort: str) -> list[float | None]:
            answer = staff.get(f"/dashboard/runs/?sort={sort}")
            return [round(run.seconds / 3600) for run in answer.context["page"]]

        assert hours("took") == [1, 2, 3]
        assert hours("-took") == [3, 2, 1]
        assert hours("-started") == [1, 2, 3]
        assert hours("-best") == [1, 3, 2]  # what has no number comes last
        assert hours("best") == [3, 1, 2]
        assert hours("nix") == [2, 1, 3]  # the newest first
        text = staff.get("/dashboard/runs/?sort=-took&kind=train").content.decode()
        assert text.count('aria-sort="descending"') == 1
        assert 'href="?kind=train&amp;sort=took"' in text

    def test_filters_by_tag_and_downloads_what_is_filtered(
        self, staff: Client, shop: Catalog
    ) -> None:
        TrainingRun.objects.create(catalog=shop, kind="train", tags=["best"], note="-1+1")
        TrainingRun.objects.create(catalog=shop, kind="encode", tags=["night"])
        answer = staff.get("/dashboard/runs/?tag=best")
        assert [run.kind for run in answer.context["page"]] == ["train"]
        assert answer.context["tags"] == ["best", "night"]
        lines = staff.get("/dashboard/runs.csv?tag=best").getvalue().decode().splitlines()
        assert len(lines) == 2
        assert "'-1+1" in lines[1]  # no formula

    def test_five_hundred_runs_take_as_many_queries_as_one(
        self, staff: Client, shop: Catalog, django_assert_max_num_queries: Any
    ) -> None:
        runs = TrainingRun.objects.bulk_create(
            TrainingRun(catalog=shop, kind="train", state="succeeded", tags=[f"t{number % 9}"])
            for number in range(500)
        )
        RunMetric.objects.bulk_create(
            RunMetric(run=run, name="tower/valid_ndcg", step=step, value=step)
            for run in runs
            for step in range(5)
        )
        for query in ("", "?sort=-best", "?sort=took&tag=t1&state=succeeded", "?page=20"):
            with django_assert_max_num_queries(7):
                staff.get(f"/dashboard/runs/{query}")
        with django_assert_max_num_queries(3):
            assert staff.get("/dashboard/runs.csv").getvalue().count(b"\n") == 501


class TestRunPage:
    def test_polls_until_it_is_over(self, staff: Client, shop: Catalog) -> None:
        run = TrainingRun.objects.create(
            catalog=shop, kind="train", state="running", started_at=timezone.now(), progress=0.5
        )
        page = staff.get(reverse("dashboard:run", args=[run.pk])).content.decode()
        live = reverse("dashboard:run-live", args=[run.pk])
        assert 'hx-trigger="every 1500ms"' in page
        mark = mark_of(page)
        assert staff.get(f"{live}?mark={mark}").status_code == 204  # nothing is swapped
        RunLogLine.objects.create(run=run, text="epoch 1 <script>")
        answer = staff.get(f"{live}?mark={mark}")
        assert answer.status_code == 200
        assert "epoch 1 &lt;script&gt;" in answer.content.decode()
        TrainingRun.objects.filter(pk=run.pk).update(state="succeeded", ended_at=timezone.now())
        answer = staff.get(f"{live}?mark={mark}")
        assert (answer.status_code, b"hx-trigger" in answer.content) == (286, False)

    def test_shows_estimate_curves_and_origin(self, staff: Client, shop: Catalog) -> None:
        run = TrainingRun.objects.create(
            catalog=shop,
            kind="train",
            state="running",
            stage="tower",
            progress=0.25,
            started_at=timezone.now() - timedelta(seconds=60),
            environment={"torch": "2.13"},
            parameters={"epochs": 3, "encoder": {"max_tokens": 128, "model": ""}},
        )
        RunMetric.objects.bulk_create(
            RunMetric(run=run, name=f"tower/{name}_loss", step=step, value=1 / (step + 1))
            for step in range(300)
            for name in ("train", "valid")
        )
        text = staff.get(reverse("dashboard:run", args=[run.pk])).content.decode()
        assert re.search(r"about 3 min \d s to go", text)
        assert text.count("<polyline") == 2
        assert text.count('<figure class="chart"') == 1
        assert "2.13" in text
        assert "epochs" in text
        assert "model: –, max tokens: 128" in text

    def test_a_failure_is_told(self, staff: Client, shop: Catalog) -> None:
        run = TrainingRun.objects.create(
            catalog=shop, kind="train", state="failed", error="The disk is full."
        )
        text = staff.get(reverse("dashboard:run", args=[run.pk])).content.decode()
        assert "The disk is full." in text
        assert "Retry" in text

    def test_a_queued_run_says_what_it_waits_for(self, staff: Client, shop: Catalog) -> None:
        run = TrainingRun.objects.create(catalog=shop, kind="train")
        address = reverse("dashboard:run", args=[run.pk])
        assert "waits for a worker to be free" in staff.get(address).content.decode()
        TrainingRun.objects.create(catalog=shop, kind="train", state="running")
        assert "waits for the train run of Larder" in staff.get(address).content.decode()

    def test_pause_and_resume_from_the_page(self, staff: Client, shop: Catalog) -> None:
        run = TrainingRun.objects.create(catalog=shop, kind="train")
        address = reverse("dashboard:run", args=[run.pk])
        assert 'id="pause-run"' in staff.get(address).content.decode()
        staff.post(reverse("dashboard:pause", args=[run.pk]))
        run.refresh_from_db()
        assert run.state == "paused"
        text = staff.get(address).content.decode()
        assert 'id="resume-run"' in text
        assert "hx-trigger" not in text
        assert staff.get(reverse("dashboard:run-live", args=[run.pk])).status_code == 286
        assert 'id="change-run"' in text
        staff.post(reverse("dashboard:resume", args=[run.pk]))
        run.refresh_from_db()
        assert run.state == "queued"
        answer = staff.post(reverse("dashboard:resume", args=[run.pk]), follow=True)
        assert "This run is not paused: it is queued." in answer.content.decode()

    def test_says_from_where_it_was_resumed(self, staff: Client, shop: Catalog) -> None:
        run = TrainingRun.objects.create(
            catalog=shop, kind="train", state="running", resumed_from=0.4, attempts=2
        )
        text = staff.get(reverse("dashboard:run", args=[run.pk])).content.decode()
        assert "its checkpoint, at 40 %, by attempt 2" in text

    def test_notes_are_kept_and_what_is_refused_stays_in_the_form(
        self, staff: Client, shop: Catalog
    ) -> None:
        run = TrainingRun.objects.create(catalog=shop, kind="train", state="succeeded")
        notes = reverse("dashboard:run-notes", args=[run.pk])
        answer = staff.post(notes, {"tags": "Best, <b>", "note": "two\nlines"}, follow=True)
        text = answer.content.decode()
        assert "two<br>lines" in text
        assert "&lt;b&gt;</a>" in text
        assert "?tag=best" in text
        answer = staff.post(notes, {"tags": "x" * 41, "note": "kept"})
        assert answer.status_code == 422
        assert "x" * 41 in answer.content.decode()
        run.refresh_from_db()
        assert run.tags == ["<b>", "best"]

    def test_curves_and_log_as_files(self, staff: Client, shop: Catalog) -> None:
        run = TrainingRun.objects.create(catalog=shop, kind="train")
        RunMetric.objects.create(run=run, name="tower/train_loss", step=3, value=-0.25)
        RunLogLine.objects.create(run=run, text="=HYPERLINK(1)")
        answer = staff.get(reverse("dashboard:run-metrics", args=[run.pk]))
        assert answer.getvalue().decode().splitlines()[1] == "tower/train_loss,3,-0.25"
        answer = staff.get(reverse("dashboard:run-log", args=[run.pk]))
        assert answer.getvalue().decode().splitlines()[1].endswith(",'=HYPERLINK(1)")
