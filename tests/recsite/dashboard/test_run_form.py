"""The dashboard: the form that starts a run, and what it says of the cost."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Catalog, User
from training.models import TrainingRun
from training.sheets import SHEETS

NEW = "/dashboard/runs/new/"


class TestForm:
    @pytest.mark.parametrize("kind", SHEETS)
    def test_each_kind_has_one(self, staff: Client, shop: Catalog, kind: str) -> None:
        answer = staff.get(f"{NEW}?catalog=shop&kind={kind}")
        text = answer.content.decode()
        assert answer.status_code == 200
        assert "What this will cost" in text
        assert f"{SHEETS[kind].command.format(catalog='shop')}" in text
        for parameter in SHEETS[kind].parameters:
            assert f'name="{parameter.name}"' in text

    def test_without_a_catalog_it_names_the_command(self, staff: Client) -> None:
        assert "manage.py create_catalog" in staff.get(NEW).content.decode()

    def test_an_unknown_kind_or_catalog_is_404(self, staff: Client, shop: Catalog) -> None:
        for query in ("kind=nix", "catalog=nix", "from=nix"):
            assert staff.get(f"{NEW}?{query}").status_code == 404, query

    def test_starts_a_run_with_what_differs_from_the_usual(
        self, staff: Client, shop: Catalog, admin: User
    ) -> None:
        told = {"catalog": "shop", "kind": "finetune", "way": "full", "steps": "50", "batch": ""}
        told |= {"history": "6", "learning_rate": "1e-5", "seed": "7"}
        answer = staff.post(NEW, told)
        run = TrainingRun.objects.get()
        assert answer["Location"] == reverse("dashboard:run", args=[run.pk])
        assert (run.kind, run.seed, run.created_by) == ("finetune", 7, admin)
        assert run.parameters == {"way": "full", "steps": 50, "learning_rate": 1e-5}
        staff.post(NEW, told)  # pressed twice
        assert TrainingRun.objects.count() == 1

    def test_what_is_wrong_is_said_and_what_was_typed_stays(
        self, staff: Client, shop: Catalog
    ) -> None:
        told = {"catalog": "shop", "kind": "pretrain", "steps": "many", "batch": "1", "seed": "x"}
        answer = staff.post(NEW, told | {"encoder": "nix", "masked": "11"})
        text = answer.content.decode()
        assert answer.status_code == 422
        assert "Steps: a number, not &#x27;many&#x27;." in text
        assert "Batch: at least 2, not 1." in text
        assert "Weight of hidden words: at most 10, not 11." in text
        assert "Encoder: one of" not in text
        assert "Start from: one of configured." in text
        assert "Seed: a number" in text
        assert 'value="many"' in text
        assert 'aria-invalid="true"' in text
        assert '<details class="seldom" open>' in text
        assert not TrainingRun.objects.exists()

    def test_without_scripts_the_estimate_is_asked_for_with_a_button(
        self, staff: Client, shop: Catalog
    ) -> None:
        told = {"catalog": "shop", "kind": "pretrain", "steps": "20", "look": "yes"}
        answer = staff.post(NEW, told, follow=True)
        assert "steps=20" in answer.redirect_chain[0][0]
        assert 'value="20"' in answer.content.decode()
        assert not TrainingRun.objects.exists()

    def test_a_button_with_a_wrong_value_leads_to_the_form(
        self, staff: Client, shop: Catalog
    ) -> None:
        answer = staff.post(
            reverse("dashboard:finetune", args=["shop"]), {"way": "nix"}, follow=True
        )
        assert "Way: one of projection, lora, full." in answer.content.decode()

    def test_queries_are_bounded(
        self, staff: Client, shop: Catalog, django_assert_max_num_queries: Any
    ) -> None:
        TrainingRun.objects.bulk_create(
            TrainingRun(catalog=shop, kind="train", state="succeeded") for _ in range(100)
        )
        with django_assert_max_num_queries(14):
            staff.get(f"{NEW}?catalog=shop&kind=train")


class TestRetryWithChanges:
    def test_is_filled_with_the_run_and_remembers_it(self, staff: Client, shop: Catalog) -> None:
        run = TrainingRun.objects.create(
            catalog=shop,
            kind="train",
            state="failed",
            seed=5,
            parameters={"epochs": 3, "promote_if_first": False, "older": 1},
        )
        text = staff.get(f"{NEW}?from={run.pk}").content.decode()
        assert 'name="epochs" value="3"' in text
        assert 'name="seed" value="5"' in text
        assert '<option value="no" selected>' in text
        assert "older=1" in text
        told = {"from": str(run.pk), "epochs": "4", "promote_if_first": "no", "seed": "6"}
        said = staff.post(reverse("dashboard:run-cost"), told).content.decode()
        assert f"manage.py retry_run {run.pk} --param epochs=4 --seed 6<" in said
        staff.post(NEW, told)
        again = TrainingRun.objects.get(retry_of=run)
        assert again.parameters == {"epochs": 4, "promote_if_first": False, "older": 1}
        assert again.seed == 6


class TestCost:
    def cost(self, staff: Client, **told: str) -> str:
        answer = staff.post(reverse("dashboard:run-cost"), {"catalog": "shop", **told})
        assert answer.status_code == 200
        return answer.content.decode()

    def test_follows_what_is_typed(self, staff: Client, shop: Catalog) -> None:
        few = self.cost(staff, kind="pretrain", steps="100")
        assert "No pretrain run of Larder has succeeded yet" in few
        assert "50 s to 3 min" in few
        assert "manage.py pretrain shop --param steps=100" in few
        assert "16 min to 65 min" in self.cost(staff, kind="pretrain", steps="2150")
        assert "as soon as each value" in self.cost(staff, kind="pretrain", steps="x")

    def test_follows_earlier_runs(self, staff: Client, shop: Catalog) -> None:
        now = timezone.now()
        for minutes in (10, 11, 30):
            TrainingRun.objects.create(
                catalog=shop,
                kind="pretrain",
                state="succeeded",
                started_at=now - timedelta(minutes=minutes),
                ended_at=now,
                parameters={"steps": 600},
                environment={"peak memory MB": "1536"},
            )
        text = self.cost(staff, kind="pretrain", steps="600")
        assert "From 3 earlier pretrain runs of Larder" in text
        assert "9 min to 14 min" in text
        assert "about 1.5 GiB" in text

    def test_says_what_goes_first(self, staff: Client, shop: Catalog) -> None:
        TrainingRun.objects.create(catalog=shop, kind="train", state="running")
        assert "this one starts after it" in self.cost(staff, kind="train")
