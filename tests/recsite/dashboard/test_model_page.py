"""The dashboard: one model, its gate and its roll-out."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from catalog.models import Catalog, Role, User
from ranking.bundle import bundle_exists, bundle_path
from recsite.dashboard import rehearsals
from recsite.dashboard.beside import Beside
from recsite.dashboard.comparison import everything, words_of
from tests.recsite.dashboard.pages import registered
from training import registry, rollout
from training.models import ModelVersion, Promotion


@pytest.fixture
def pair(shop: Catalog, tmp_path: Path) -> tuple[ModelVersion, ModelVersion]:
    """A live model, and one that was measured on the same requests and by segment."""
    live = registered(shop, tmp_path, 0.2)
    registry.promote(live, None, "first")
    shop.refresh_from_db()
    other = registered(shop, tmp_path, 0.21)
    difference = {"value": 0.011, "low": 0.002, "high": 0.02, "p": 0.01}
    segments = {
        "new items": {"requests": 1234, "ndcg@10": 0.05, "low": 0.03, "high": 0.07},
        "no history": {"requests": 40, "ndcg@10": 0.1, "low": 0.08, "high": 0.12},
    }
    other.metrics |= {
        "segments": segments,
        "paired": {"bundle": live.bundle_id, "metrics": {"ndcg@10": difference}, "segments": {}},
    }
    other.save()
    return live, other


def address(version: ModelVersion, name: str = "model") -> str:
    return reverse(f"dashboard:{name}", args=[version.catalog.slug, version.bundle_id])


class TestPage:
    def test_lineage_and_differences(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion]
    ) -> None:
        live, other = pair
        page = staff.get(address(other)).content.decode()
        assert address(live) in page  # its parent
        assert "Paired: the live model was asked the same requests" in page
        for said in ("+0.0110", "0.0020 – 0.0200", "p 0.010", "New items", "1,234"):
            assert said in page
        assert address(other) in staff.get(address(live)).content.decode()  # a child

    def test_the_personal_model_with_its_worth(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion]
    ) -> None:
        _, other = pair
        text = " ".join(staff.get(address(other)).content.decode().split())
        assert "<dt>Personal model</dt><dd>none</dd>" in text
        for name, said in (
            ("with the personal model", "switched off: it did not surely pay"),
            ("without the personal model", "switched on"),
        ):
            other.metrics |= {name: {"ndcg@10": {"value": 0.22}}}
            other.save()
            text = " ".join(staff.get(address(other)).content.decode().split())
            assert said in text
        assert "0.2100 with it, 0.2200 without" in text

    def test_what_validation_chose(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion]
    ) -> None:
        _, other = pair

        def page(**parameters: Any) -> str:
            path = bundle_path(other.bundle_id) / "meta.json"
            path.chmod(0o600)
            path.write_text(json.dumps(json.loads(path.read_text()) | {"parameters": parameters}))
            return " ".join(staff.get(address(other)).content.decode().split())

        text = page(
            rankers={"shares": {"gbdt": 0.75, "dcn": 0.25, "fm": 0.0}, "networks": {}},
            near_duplicate=1.01,
            leads={
                "known": [0, 5],
                "picks": [0, 20],
                "text": [[0.4, 0.2], [0, 0]],
                "sources": [0.1, 0],
                "popular": [0.3, 0],
            },
        )
        for said in ("trees 75.0 %, DCN 25.0 %", "nothing is dropped", "5 and more"):
            assert said in text
        shares = re.findall(r'<td class="num text-right">([\d.]+) %</td>', text)
        assert shares[:5] == ["40.0", "10.0", "30.0", "20.0", "40.0"]
        alone = page(leads={"known": [0], "picks": [0], "text": [[0]], "sources": [0]})
        assert "they alone decide" in alone
        assert "whose texts are alike" in alone

    def test_what_was_measured_on_other_requests_says_so(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion], shop: Catalog, tmp_path: Path
    ) -> None:
        live, _ = pair
        third = registered(shop, tmp_path, 0.212)
        page = staff.get(address(third)).content.decode()
        assert "Unpaired: each model was measured on the test of its own training" in page
        assert "before segments were kept" in page
        (ndcg, _) = everything(third, live)
        assert ndcg.spread is not None
        assert ndcg.spread.low == pytest.approx(0.012 - 0.01 * 2**0.5)
        assert not ndcg.is_clear

    def test_the_order_stands_in_the_address(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion]
    ) -> None:
        answer = staff.get(address(pair[1]))
        assert [row.words for row in answer.context["segments"]] == ["No history", "New items"]
        answer = staff.get(address(pair[1]), {"sort": "words"})
        assert [row.words for row in answer.context["segments"]] == ["New items", "No history"]
        assert 'aria-sort="ascending"' in answer.getvalue().decode()
        answer = staff.get(address(pair[1]), {"sort": "-value"})
        assert [row.words for row in answer.context["segments"]] == ["No history", "New items"]
        assert staff.get(address(pair[1]), {"sort": "nonsense"}).status_code == 200

    def test_a_bounded_number_of_queries(
        self,
        staff: Client,
        pair: tuple[ModelVersion, ModelVersion],
        django_assert_max_num_queries: Any,
    ) -> None:
        with django_assert_max_num_queries(14):
            staff.get(address(pair[1]))

    def test_csv(self, staff: Client, pair: tuple[ModelVersion, ModelVersion]) -> None:
        answer = staff.get(address(pair[1], "model-csv"))
        assert answer["Content-Type"].startswith("text/csv")
        rows = list(csv.DictReader(answer.getvalue().decode().splitlines()))
        assert rows[0]["name"] == "nDCG@10"
        assert (rows[0]["paired"], rows[0]["difference"]) == ("yes", "0.011")
        assert [row["requests"] for row in rows][-2:] == ["40", "1234"]

    def test_csv_says_the_same_in_every_language(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion]
    ) -> None:
        english = staff.get(address(pair[1], "model-csv")).getvalue()
        staff.cookies[settings.LANGUAGE_COOKIE_NAME] = "zh-hans"
        assert staff.get(address(pair[1], "model-csv")).getvalue() == english


class TestRegistry:
    def test_sorted_by_a_figure(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion], shop: Catalog, tmp_path: Path
    ) -> None:
        bare = registered(shop, tmp_path, 0.1)
        ModelVersion.objects.filter(pk=bare.pk).update(metrics={"pipeline": {}})
        models = reverse("dashboard:catalog-models", args=["shop"])
        for sort, expected in (
            ("ndcg@10", [pair[0], pair[1], bare]),
            ("-ndcg@10", [pair[1], pair[0], bare]),  # what has no figure comes last, either way
            ("", [bare, pair[1], pair[0]]),
        ):
            answer = staff.get(models, {"sort": sort})
            assert [row.version for row in answer.context["rows"]] == expected
        rows = staff.get(reverse("dashboard:models-csv", args=["shop"]), {"sort": "-ndcg@10"})
        lines = list(csv.DictReader(rows.getvalue().decode().splitlines()))
        assert [line["bundle"] for line in lines][:2] == [pair[1].bundle_id, pair[0].bundle_id]
        assert [line["role"] for line in lines] == ["", "live", ""]
        assert lines[2]["ndcg@10"] == ""

    def test_fifty_models_need_few_queries(
        self, staff: Client, shop: Catalog, tmp_path: Path, django_assert_max_num_queries: Any
    ) -> None:
        first = registered(shop, tmp_path, 0.1)
        registry.promote(first, None, "first")
        for number in range(6):
            registered(shop, tmp_path, 0.11 + number / 100)
        with django_assert_max_num_queries(14):
            staff.get(reverse("dashboard:catalog-models", args=["shop"]))


class TestRollOut:
    def test_named_step_by_step_and_stopped(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion], shop: Catalog
    ) -> None:
        other = pair[1]
        staff.post(address(other, "challenge"))
        shop.refresh_from_db()
        assert shop.challenger_bundle == other.bundle_id
        sent = {"share": "5", "from": "0", "reason": "try"}
        answers = [staff.post(address(other, "rollout-step"), sent, follow=True) for _ in "12"]
        said = [answer.getvalue().decode() for answer in answers]
        assert "answers 5 % of the people." in said[0]
        assert "Rolled out to 5 %" in said[0]
        assert "The share has changed by now." in said[1]  # twice sent, done once
        models = staff.get(reverse("dashboard:catalog-models", args=["shop"])).content.decode()
        assert "On to 10 %" in models
        assert models.index("Stop the roll-out …") < models.index("Stop: the live model")  # it asks
        assert "Too few people yet to compare" in models
        stopped = staff.post(
            reverse("dashboard:rollout-stop", args=["shop"]), {"reason": "no"}, follow=True
        )
        assert "Stopped: the live model answers everybody." in stopped.content.decode()
        shop.refresh_from_db()
        assert shop.challenger_share == 0
        kinds = Promotion.objects.order_by("pk").values_list("kind", flat=True)
        assert list(kinds) == ["promote", "roll-out", "stop"]

    def test_the_gate_blocks_and_a_reason_is_asked_for(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion], shop: Catalog, tmp_path: Path
    ) -> None:
        worse = registered(shop, tmp_path, 0.01)
        sent = {"share": "5", "from": "0", "reason": "try"}
        answer = staff.post(address(worse, "rollout-step"), sent, follow=True)
        assert "The gate is red" in answer.getvalue().decode()
        for share in ("", "x", "1e3", "0", "101"):
            bad = {**sent, "share": share}
            answer = staff.post(address(pair[1], "rollout-step"), bad, follow=True)
            assert "1 to 100 percent" in answer.getvalue().decode()
        answer = staff.post(address(pair[1], "rollout-step"), {**sent, "reason": " "}, follow=True)
        assert "Say why" in answer.getvalue().decode()
        shop.refresh_from_db()
        assert shop.challenger_share == 0

    def test_what_serving_let_go_of_is_told(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion], shop: Catalog
    ) -> None:
        rollout.roll_out(pair[1], 5, None, "try")
        shop.refresh_from_db()
        shop.withdraw_challenger(pair[1].bundle_id, "An answer of it failed.")
        page = staff.get(reverse("dashboard:catalog-models", args=["shop"])).content.decode()
        assert 'The roll-out was stopped by itself. <span lang="en">An answer of it failed.' in page
        overview = staff.get(reverse("dashboard:overview")).content.decode()
        said = 'of a model of Larder was stopped. <span lang="en">An answer of it failed.</span>'
        assert said in overview


@pytest.mark.parametrize("name", ["challenge", "rollout-step", "rehearsal", "delete-model"])
def test_who_may_press_the_buttons(
    client: Client, pair: tuple[ModelVersion, ModelVersion], shop: Catalog, name: str
) -> None:
    sent = {"share": "5", "from": "0", "reason": "r"}
    assert client.post(address(pair[1], name), sent)["Location"].startswith(reverse("login"))
    client.force_login(User.objects.create_user("member"))
    assert client.post(address(pair[1], name), sent).status_code == 403
    assert client.post(reverse("dashboard:rollout-stop", args=["shop"])).status_code == 403
    shop.refresh_from_db()
    assert (shop.challenger_bundle, shop.challenger_share) == ("", 0)
    assert ModelVersion.objects.count() == 2
    client.force_login(User.objects.create_user("boss", is_staff=True, role=Role.ADMIN))
    if name != "delete-model":
        assert client.get(address(pair[1], name)).status_code == 405
    other = Catalog.objects.create(slug="news", name="N", item_kind="article")
    strange = reverse(f"dashboard:{name}", args=[other.slug, pair[1].bundle_id])
    assert client.post(strange, sent).status_code == 404


class TestRehearsal:
    @pytest.fixture
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Beside, "begin", lambda beside, work: work())

    def test_what_it_finds_stands_in_the_gate(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion], at_once: None
    ) -> None:
        live, other = pair
        assert "smoke queries: not measured" in staff.get(address(other)).content.decode()
        page = staff.get(address(other, "promote")).content.decode()
        assert 'hx-trigger="load, submit"' in page  # it begins by itself where it is decided
        staff.post(address(other, "rehearsal"))
        other.refresh_from_db()
        assert other.metrics["rehearsal"]["champion"] == live.bundle_id
        part = staff.get(address(other, "model-gate")).content.decode()
        assert "smoke queries: red" in part  # there is nothing in it to serve from
        assert "It cannot be loaded" in part
        refused = staff.post(address(other, "promote"), {"reason": "r"})
        assert refused.status_code == 422

    def test_while_it_goes_on_nothing_is_promoted(
        self,
        staff: Client,
        pair: tuple[ModelVersion, ModelVersion],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        whole = staff.get(address(pair[1], "model-gate")).content.decode()
        monkeypatch.setattr(rehearsals, "goes_on", lambda version: True)
        part = staff.get(address(pair[1], "model-gate"), headers={"HX-Request": "true"})
        assert part.status_code == 200
        # Hashing a bundle every second would slow what is timed.
        assert ("files:" in whole, "files:" in part.content.decode()) == (True, False)
        assert 'hx-trigger="every 1s"' in part.content.decode()
        shown = address(pair[1], "model-gate") + f"?mark={part.context['mark']}"
        assert f'hx-get="{shown}"' in part.content.decode()
        assert staff.get(shown, headers={"HX-Request": "true"}).status_code == 204
        answer = staff.post(address(pair[1], "promote"), {"reason": "r"})
        assert (answer.status_code, "Its rehearsal goes on" in answer.getvalue().decode()) == (
            422,
            True,
        )


class TestDelete:
    def test_it_says_what_goes_and_does_it(
        self, staff: Client, pair: tuple[ModelVersion, ModelVersion]
    ) -> None:
        live, other = pair
        page = staff.get(address(other, "delete-model")).content.decode()
        assert "its bundle of" in page
        assert bundle_exists(other.bundle_id)
        staff.post(address(other, "delete-model"))
        assert not bundle_exists(other.bundle_id)
        assert "It is live, so it cannot be deleted." in (
            staff.get(address(live, "delete-model")).content.decode()
        )
        assert staff.post(address(live, "delete-model")).status_code == 422
        assert bundle_exists(live.bundle_id)
        assert staff.get(address(other)).status_code == 404


class TestLimits:
    def test_kept_and_refused(self, staff: Client, shop: Catalog) -> None:
        limits = reverse("dashboard:gate-limits", args=["shop"])
        staff.post(limits, {"quality_margin": "0.05", "latency_ratio": ""})
        shop.refresh_from_db()
        assert shop.gate_limits == {"quality_margin": 0.05}
        assert 'value="0.05"' in staff.get(limits).content.decode()
        answer = staff.post(limits, {"quality_margin": "lots"})
        assert answer.status_code == 422
        assert "quality_margin is a number from 0 to 1" in answer.getvalue().decode()
        assert 'value="lots"' in answer.getvalue().decode()  # what was typed is not lost


def test_names_in_words() -> None:
    assert words_of("ndcg@10") == "nDCG@10"
    assert words_of("intra_list_diversity@10") == "Intra list diversity@10"
    assert words_of("auc_of_seen") == "AUC of what was seen"
