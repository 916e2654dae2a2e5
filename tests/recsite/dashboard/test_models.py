"""The dashboard: models, promotion, roll-back."""

from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.test import Client
from django.urls import reverse

from catalog.models import Catalog, EncoderVersion, User
from ranking.bundle import bundle_path
from tests.recsite.dashboard.pages import registered
from training import registry
from training.models import Evaluation, Promotion, TrainingRun
from training.runs import create_run


class TestModels:
    def test_promote_needs_a_reason(self, staff: Client, shop: Catalog, tmp_path: Path) -> None:
        version = registered(shop, tmp_path, 0.1)
        address = reverse("dashboard:promote", args=["shop", version.bundle_id])
        answer = staff.post(address, {"reason": " "})
        assert answer.status_code == 422
        assert "Say why" in answer.content.decode()
        assert not Promotion.objects.exists()

    def test_promote_and_roll_back(
        self, staff: Client, shop: Catalog, tmp_path: Path, admin: User
    ) -> None:
        first, second = registered(shop, tmp_path, 0.1), registered(shop, tmp_path, 0.11)
        for version in (first, second):
            address = reverse("dashboard:promote", args=["shop", version.bundle_id])
            answer = staff.post(address, {"reason": "It is better."}, follow=True)
            assert f"{version.bundle_id} is live." in answer.content.decode()
        shop.refresh_from_db()
        assert shop.live_bundle == second.bundle_id
        form = {"reason": "No.", "live": second.bundle_id}
        answers = [staff.post(reverse("dashboard:roll-back", args=["shop"]), form) for _ in "12"]
        assert [answer.status_code for answer in answers] == [302, 422]  # twice sent, done once
        assert "Another model is live by now." in answers[1].content.decode()
        shop.refresh_from_db()
        assert shop.live_bundle == first.bundle_id
        change = Promotion.objects.latest("at")
        assert (change.kind, change.reason, change.by) == ("roll-back", "No.", admin)

    def test_the_gate_blocks_and_says_why(
        self, staff: Client, shop: Catalog, tmp_path: Path
    ) -> None:
        good, bad = registered(shop, tmp_path, 0.2), registered(shop, tmp_path, 0.1)
        registry.promote(good, None, "first")
        address = reverse("dashboard:promote", args=["shop", bad.bundle_id])
        assert "worse beyond its interval" in staff.get(address).content.decode()
        refused = staff.post(address, {"reason": "I like it"})
        assert refused.status_code == 422
        assert "I like it" in refused.content.decode()  # what was typed is not lost
        shop.refresh_from_db()
        assert shop.live_bundle == good.bundle_id
        staff.post(address, {"reason": "I like it", "force": "yes"})
        shop.refresh_from_db()
        assert shop.live_bundle == bad.bundle_id

    def test_a_corrupt_bundle_is_refused(
        self, staff: Client, shop: Catalog, tmp_path: Path
    ) -> None:
        version = registered(shop, tmp_path, 0.1)
        (bundle_path(version.bundle_id) / "a.safetensors").write_bytes(b"x")
        address = reverse("dashboard:promote", args=["shop", version.bundle_id])
        assert "is no safetensors file" in staff.get(address).content.decode()
        answer = staff.post(address, {"reason": "r", "force": "yes"})
        assert answer.status_code == 422
        shop.refresh_from_db()
        assert shop.live_bundle == ""

    def test_a_bundle_of_another_catalog_is_404(
        self, staff: Client, shop: Catalog, tmp_path: Path
    ) -> None:
        version = registered(shop, tmp_path, 0.1)
        Catalog.objects.create(slug="news", name="N", item_kind="article")
        address = reverse("dashboard:promote", args=["news", version.bundle_id])
        assert staff.post(address, {"reason": "r"}).status_code == 404

    def test_differences_from_the_live_one(
        self, staff: Client, shop: Catalog, tmp_path: Path
    ) -> None:
        live, newer = registered(shop, tmp_path, 0.2), registered(shop, tmp_path, 0.25)
        registry.promote(live, None, "first")
        answer = staff.get(reverse("dashboard:catalog-models", args=["shop"]))
        rows = {row.version.pk: row for row in answer.context["rows"]}
        measured = rows[newer.pk].measured[0]
        assert measured.difference == pytest.approx(0.05)
        assert measured.is_clear  # .2 lies below .24 … .26
        assert rows[live.pk].measured[0].difference is None
        assert "+0.0500" in answer.content.decode()

    def test_while_the_first_one_is_trained_nobody_is_asked_to_train(
        self, staff: Client, shop: Catalog
    ) -> None:
        address = reverse("dashboard:catalog-models", args=["shop"])
        assert "Train now" in staff.get(address).content.decode()
        run = create_run(shop, TrainingRun.Kind.TRAIN)
        page = staff.get(address).content.decode()
        assert "Train now" not in page
        assert reverse("dashboard:run", args=[run.pk]) in page


class TestEncoders:
    def test_what_was_learned_stands_there_with_its_gain(
        self, staff: Client, shop: Catalog
    ) -> None:
        address = reverse("dashboard:catalog-models", args=["shop"])
        assert "Nothing is learned yet" in staff.get(address).content.decode()
        base = EncoderVersion.objects.create(name="base", digest="b" * 64, dimensions=3)
        EncoderVersion.objects.create(
            name="base · lora",
            digest="a1b2c3d4" * 8,
            dimensions=3,
            catalog=shop,
            parent=base,
            way="lora",
            metrics={
                "text_ndcg@10": {"before": 0.1, "after": 0.15},
                "gain": {"value": 0.05, "low": 0.01, "high": 0.09},
            },
        )
        page = staff.get(address).content.decode()
        for said in ("a1b2c3d4", "0.1000 → 0.1500", "+0.0500", "0.0100 – 0.0900"):
            assert said in page

    def test_the_smaller_forms_stand_there_and_start_no_training(
        self, staff: Client, shop: Catalog
    ) -> None:
        form = {"ndcg": 0.1, "cosine": 0.99, "texts_per_second": 800, "megabytes": 22.9}
        EncoderVersion.objects.create(
            name="base · int8",
            digest="a1b2c3d4" * 8,
            dimensions=3,
            catalog=shop,
            way="int8",
            metrics={
                "split": "time",
                "variants": [
                    form | {"name": "fp32", "query_ms": 11.8, "loss_percent": 0.0},
                    form | {"name": "int8", "query_ms": 1.7, "loss_percent": 0.4},
                ],
            },
        )
        page = staff.get(reverse("dashboard:catalog-models", args=["shop"])).content.decode()
        for said in ("1.70", "0.40 %", "chosen", "22.9", "the split: by time"):
            assert said in page
        assert '<option value="a1b2c3d4' not in page  # nothing starts from it

    def test_the_forms_queue_runs_with_what_was_chosen(
        self, staff: Client, shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(current_app, "send_task", lambda *args, **options: None)
        sent = {"way": "full", "encoder": "configured", "steps": "9"}
        for kind, kept in (
            ("finetune", {"way": "full", "steps": 9}),
            ("pretrain", {"steps": 9}),
            ("quantize", {"encoder": "configured"}),
        ):
            address = reverse(f"dashboard:{kind}", args=["shop"])
            assert staff.get(address).status_code == 405
            answer = staff.post(address, sent)
            run = TrainingRun.objects.get(kind=kind)
            assert answer.url == reverse("dashboard:run", args=[run.pk])  # type: ignore[attr-defined]
            assert run.parameters == kept
            again = staff.post(address, sent, follow=True).content.decode()
            assert f"A run of Larder to {kind} goes on already" in again
        assert TrainingRun.objects.count() == 3


class TestWhereItIsStrong:
    def test_before_anything_is_measured_the_commands_stand_there(
        self, staff: Client, shop: Catalog
    ) -> None:
        page = staff.get(reverse("dashboard:catalog-models", args=["shop"])).content.decode()
        for kind in Evaluation.Kind.values:
            assert f"manage.py evaluate shop --{kind}" in page
        assert "It learns from no other catalog" in page

    def test_the_newest_of_each_kind_is_drawn_with_a_table(
        self, staff: Client, shop: Catalog, django_assert_max_num_queries: Any
    ) -> None:
        for value in (0.111, 0.222):
            figure = {"value": value, "low": value - 0.01, "high": value + 0.01}
            rows = [
                {"by": by, "from": 3, "model": model, "requests": 9, "ndcg@10": figure}
                for by in ("history", "picks")
                for model in ("language model alone", "blend")
            ]
            Evaluation.objects.create(catalog=shop, kind="by-history", split="time", rows=rows)
        other = Catalog.objects.create(slug="kiosk", name="Kiosk", item_kind="product")
        shop.learns_from.add(other)
        address = reverse("dashboard:catalog-models", args=["shop"])
        with django_assert_max_num_queries(20):
            page = staff.get(address).content.decode()
        assert page.count('class="dot dot-2" cx=') >= 2
        assert "0.2120 – 0.2320" in page
        assert "0.1110" not in page
        assert "what they did in Kiosk" in page
        assert "style=" not in page

    def test_the_button_starts_the_run_that_measures(self, staff: Client, shop: Catalog) -> None:
        address = reverse("dashboard:evaluate", args=["shop"])
        staff.post(address, {"what": "by-history", "split": "leave-last-5", "moon": "full"})
        run = TrainingRun.objects.get(kind="evaluate")
        assert run.parameters == {"what": "by-history", "split": "leave-last-5"}
        again = staff.post(address, {"what": "cold-start"}, follow=True).content.decode()
        assert "A run of Larder to evaluate goes on already" in again
