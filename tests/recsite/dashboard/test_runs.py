"""The dashboard: runs, and the page of one."""

import re
from datetime import timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Catalog
from training.models import RunLogLine, RunMetric, TrainingRun


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
        TrainingRun.objects.filter(pk=run.pk).update(state="cancelled")
        answer = staff.get("/dashboard/runs/", headers=fragment)
        assert (answer.status_code, b"hx-trigger" in answer.content) == (286, False)


class TestRunPage:
    def mark(self, text: str) -> str:
        found = re.search(r"mark=([^\"]+)\"", text)
        assert found
        return found.group(1)

    def test_polls_until_it_is_over(self, staff: Client, shop: Catalog) -> None:
        run = TrainingRun.objects.create(
            catalog=shop, kind="train", state="running", started_at=timezone.now(), progress=0.5
        )
        page = staff.get(reverse("dashboard:run", args=[run.pk])).content.decode()
        live = reverse("dashboard:run-live", args=[run.pk])
        assert 'hx-trigger="every 1500ms"' in page
        mark = self.mark(page)
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
        assert "about 3 min 0 s to go" in text
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
