import re
import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from celery import current_app
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway
from safetensors.numpy import save_file

from catalog.events import ensure_months
from catalog.models import Catalog, Interaction, Item, SlateLog, User
from ranking.bundle import BundleMeta, bundle_path, write_bundle
from recsite import health
from recsite.dashboard.activity import activity_of
from recsite.dashboard.charts import BAR_HEIGHT, bars, curve_charts
from recsite.health import Part
from training import registry
from training.models import ModelVersion, Promotion, RunLogLine, RunMetric, TrainingRun

READY = {"broker": Part(True), "worker": Part(True)}
AWAY = {
    "broker": Part(False, "The broker cannot be reached: refused."),
    "worker": Part(False, "Not seen: no broker."),
}


@pytest.fixture(autouse=True)
def outside(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """Broker and workers are replaced where the site looks; bundles lie in a place apart."""
    settings.BUNDLE_DIR = tmp_path / "bundles"
    monkeypatch.setattr(health.backstage, "parts", lambda: READY)
    monkeypatch.setattr(current_app, "send_task", lambda *args, **options: None)


@pytest.fixture
def shop() -> Catalog:
    return Catalog.objects.create(slug="shop", name="Larder", item_kind="product")


@pytest.fixture
def admin() -> User:
    return User.objects.create_user("admin", is_staff=True)


@pytest.fixture
def staff(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def registered(shop: Catalog, folder: Path, ndcg: float) -> ModelVersion:
    files = folder / uuid.uuid4().hex
    files.mkdir()
    save_file({"weight": np.array([ndcg], dtype=np.float32)}, files / "a.safetensors")
    metrics = {
        "pipeline": {
            "ndcg@10": {"value": ndcg, "low": ndcg - 0.01, "high": ndcg + 0.01},
            "coverage@10": {"value": 0.4},
        }
    }
    bundle_id = write_bundle(files, BundleMeta(shop.slug, "", {}, metrics=metrics))
    return registry.register(None, bundle_id, metrics)


def pages(shop: Catalog, run: TrainingRun, bundle_id: str) -> list[str]:
    return [
        reverse("dashboard:overview"),
        reverse("dashboard:runs"),
        reverse("dashboard:run", args=[run.pk]),
        reverse("dashboard:run-live", args=[run.pk]),
        reverse("dashboard:models"),
        reverse("dashboard:catalog-models", args=[shop.slug]),
        reverse("dashboard:promote", args=[shop.slug, bundle_id]),
        reverse("dashboard:roll-back", args=[shop.slug]),
    ]


def actions(shop: Catalog, run: TrainingRun) -> list[str]:
    return [
        reverse("dashboard:train", args=[shop.slug]),
        reverse("dashboard:refresh", args=[shop.slug]),
        reverse("dashboard:cancel", args=[run.pk]),
        reverse("dashboard:retry", args=[run.pk]),
    ]


class TestDoors:
    """Staff, member, stranger."""

    @pytest.fixture
    def everything(self, shop: Catalog, tmp_path: Path) -> tuple[list[str], list[str]]:
        run = TrainingRun.objects.create(catalog=shop, kind="train")
        version = registered(shop, tmp_path, 0.1)
        return pages(shop, run, version.bundle_id), actions(shop, run)

    def test_strangers_are_asked_to_log_in(
        self, client: Client, everything: tuple[list[str], list[str]]
    ) -> None:
        for address in everything[0]:
            answer = client.get(address)
            assert answer.status_code == 302, address
            assert answer["Location"] == f"{reverse('login')}?next={address}"
        for address in everything[1]:
            assert client.post(address).status_code == 302, address
        assert TrainingRun.objects.count() == 1

    def test_a_fragment_sends_the_whole_page_to_the_login(
        self, client: Client, everything: tuple[list[str], list[str]]
    ) -> None:
        headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{everything[0][2]}"}
        answer = client.get(everything[0][3], headers=headers)
        expected = f"{reverse('login')}?next={everything[0][2]}"
        assert (answer.status_code, answer["HX-Redirect"]) == (401, expected)

    def test_members_are_refused(
        self, client: Client, everything: tuple[list[str], list[str]]
    ) -> None:
        client.force_login(User.objects.create_user("member"))
        for address in everything[0]:
            assert client.get(address).status_code == 403, address
        for address in everything[1]:
            assert client.post(address).status_code == 403, address
        assert TrainingRun.objects.count() == 1

    def test_staff_come_in(self, staff: Client, everything: tuple[list[str], list[str]]) -> None:
        for address in everything[0]:
            answer = staff.get(address, follow=True)
            assert answer.status_code == 200, address
            assert "no-store" in answer["Cache-Control"], address

    def test_actions_are_no_links(
        self, staff: Client, everything: tuple[list[str], list[str]]
    ) -> None:
        for address in everything[1]:
            assert staff.get(address).status_code == 405, address

    def test_a_form_of_another_site_is_refused(self, admin: User, shop: Catalog) -> None:
        careful = Client(enforce_csrf_checks=True)
        careful.force_login(admin)
        assert careful.post(reverse("dashboard:train", args=["shop"])).status_code == 403
        assert not TrainingRun.objects.exists()

    def test_no_style_attribute_and_no_handler(
        self, staff: Client, everything: tuple[list[str], list[str]]
    ) -> None:
        for address in everything[0]:
            text = staff.get(address, follow=True).content.decode()
            assert not re.search(r"\s(style|on[a-z]+)=[\"']", text), address

    @pytest.mark.parametrize(
        "address",
        ["/dashboard/runs/00000000-0000-0000-0000-000000000000/", "/dashboard/models/nix/"],
    )
    def test_what_is_not_there_is_404(self, staff: Client, address: str) -> None:
        assert staff.get(address).status_code == 404


class TestOverview:
    def test_empty_it_names_the_next_step(self, staff: Client) -> None:
        text = staff.get("/dashboard/").content.decode()
        assert "There is no catalog yet" in text
        assert "manage.py load_demo shop" in text

    def test_a_catalog_without_items_needs_attention(self, staff: Client, shop: Catalog) -> None:
        text = staff.get("/dashboard/").content.decode()
        assert "Larder holds no items." in text
        assert "manage.py import_data shop --items FILE" in text

    def test_what_lacks_is_said_with_its_cure(self, staff: Client, shop: Catalog) -> None:
        Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        failed = TrainingRun.objects.create(
            catalog=shop, kind="train", state="failed", error="Too few visits."
        )
        text = staff.get("/dashboard/").content.decode()
        assert "The last train run of Larder failed: Too few visits." in text
        assert reverse("dashboard:run", args=[failed.pk]) in text
        assert "1 item of Larder without a vector." in text
        assert "Larder has no model yet" in text

    def test_without_a_broker_it_says_what_waits(
        self, staff: Client, shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health.backstage, "parts", lambda: AWAY)
        TrainingRun.objects.create(catalog=shop, kind="train")
        text = staff.get("/dashboard/").content.decode()
        assert "refused. Start it, or correct CELERY_BROKER_URL. 1 run waits." in text
        assert "celery -A" not in text  # a worker would not bring the broker back
        assert "a run is a row in PostgreSQL" in text

    def test_a_lost_bundle_is_noticed(self, staff: Client, shop: Catalog, tmp_path: Path) -> None:
        Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        version = registered(shop, tmp_path, 0.1)
        registry.promote(version, None, "first")
        bundle_path(version.bundle_id).rename(tmp_path / "elsewhere")
        assert "has lost its files" in staff.get("/dashboard/").content.decode()

    def test_a_model_that_was_rolled_back_waits_for_no_decision(
        self, staff: Client, shop: Catalog, tmp_path: Path
    ) -> None:
        Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        first, second = registered(shop, tmp_path, 0.1), registered(shop, tmp_path, 0.11)
        registry.promote(first, None, "first")
        waits = "waits for a decision"
        assert waits in staff.get("/dashboard/").content.decode()
        registry.promote(second, None, "better")
        registry.roll_back(shop, None, "It was not.")
        assert waits not in staff.get("/dashboard/").content.decode()

    def test_a_bounded_number_of_queries(
        self, staff: Client, tmp_path: Path, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(6):
            catalog = Catalog.objects.create(slug=f"c{number}", name="C", item_kind="product")
            Item.objects.create(catalog=catalog, external_id="1", title="Oat milk")
            TrainingRun.objects.create(catalog=catalog, kind="train")
            registered(catalog, tmp_path, 0.1)
        with django_assert_max_num_queries(22):
            staff.get("/dashboard/")

    def test_traffic_is_counted_by_utc_day_and_without_suspects(self, shop: Catalog) -> None:
        item = Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        user = User.objects.create(username="u")
        now = timezone.now()
        shown = {"item_ids": [item.pk], "scores": [1], "propensities": [1], "sources": ["x"]}
        slates = [
            SlateLog.objects.create(
                catalog=shop, user=user, surface="api", seen_positions=seen, **shown
            )
            for seen in ([0], [0], [])
        ]
        ensure_months([now, now - timedelta(days=40)])
        rows: list[dict[str, Any]] = [
            {"timestamp": now, "slate_id": slates[0].pk},
            {"timestamp": now, "slate_id": slates[0].pk},  # one slate, clicked twice
            {"timestamp": now - timedelta(days=3)},
            {"timestamp": now - timedelta(days=40)},
            {"timestamp": now, "is_suspected": True},
        ]
        for row in rows:
            Interaction.objects.create(catalog=shop, user=user, item=item, type="click", **row)
        traffic = activity_of([shop])[shop.pk]
        assert traffic.interactions == 2
        assert (traffic.slates, traffic.slates_seen, traffic.slates_clicked) == (3, 2, 1)
        assert traffic.click_rate == 0.5
        assert sum(bar.count for bar in traffic.interaction_bars) == 3
        assert [bar.count for bar in traffic.interaction_bars][-4::3] == [1, 2]


class TestButtons:
    def test_train_now_queues_one_run(self, staff: Client, shop: Catalog, admin: User) -> None:
        answer = staff.post(reverse("dashboard:train", args=["shop"]))
        run = TrainingRun.objects.get()
        assert answer["Location"] == reverse("dashboard:run", args=[run.pk])
        assert (run.kind, run.state, run.created_by) == ("train", "queued", admin)
        staff.post(reverse("dashboard:train", args=["shop"]))
        assert TrainingRun.objects.count() == 1

    def test_refresh_embeddings(self, staff: Client, shop: Catalog) -> None:
        staff.post(reverse("dashboard:refresh", args=["shop"]))
        assert TrainingRun.objects.get().kind == "encode"

    @pytest.mark.django_db(transaction=True)
    def test_without_a_broker_the_button_still_works(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*args: Any, **options: Any) -> None:
            raise BrokerAway("refused")

        monkeypatch.setattr(current_app, "send_task", away)
        monkeypatch.setattr(health.backstage, "parts", lambda: AWAY)
        Catalog.objects.create(slug="shop", name="Larder", item_kind="product")
        client.force_login(User.objects.create_user("admin", is_staff=True))
        answer = client.post(reverse("dashboard:train", args=["shop"]), follow=True)
        assert "It waits. The broker cannot be reached: refused." in answer.content.decode()

    def test_cancel_and_retry(self, staff: Client, shop: Catalog) -> None:
        run = TrainingRun.objects.create(catalog=shop, kind="train", parameters={"epochs": 2})
        staff.post(reverse("dashboard:cancel", args=[run.pk]))
        run.refresh_from_db()
        assert run.state == "cancelled"
        assert RunLogLine.objects.get().text == "admin asked to cancel this run."
        answer = staff.post(reverse("dashboard:retry", args=[run.pk]))
        again = TrainingRun.objects.get(retry_of=run)
        assert again.parameters == {"epochs": 2}
        assert answer["Location"] == reverse("dashboard:run", args=[again.pk])
        second = staff.post(reverse("dashboard:retry", args=[run.pk]))  # a double click
        assert second["Location"] == answer["Location"]


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


class TestCharts:
    def test_one_chart_for_both_losses(self) -> None:
        charts = curve_charts(
            [
                ("tower/train_loss", 0, 2.0),
                ("tower/train_loss", 10, 1.0),
                ("tower/valid_loss", 10, 1.5),
            ]
        )
        assert [chart.title for chart in charts] == ["tower loss"]
        train, valid = charts[0].curves
        assert (train.name, valid.name) == ("train loss", "valid loss")
        assert train.points == "46.0,10.0 350.0,164.0"  # from the upper left to the lower right
        assert [tick.text for tick in charts[0].y_ticks] == ["1", "1.5", "2"]

    def test_no_number_draws_nothing_and_one_point_draws_a_dot(self) -> None:
        assert curve_charts([("loss", 0, float("nan"))]) == []
        chart = curve_charts([("loss", 3, 0.5), ("loss", 4, float("inf"))])[0]
        assert chart.curves[0].steps == [(3, 0.5)]

    def test_long_curves_are_thinned_and_keep_their_end(self) -> None:
        curve = curve_charts([("loss", step, step) for step in range(10_000)])[0].curves[0]
        assert len(curve.steps) <= 162
        assert curve.steps[-1] == (9_999, 9_999)

    def test_bars_fill_the_height(self) -> None:
        today = date(2026, 1, 2)
        drawn = bars([(today, 0), (today, 1), (today, 1000)])
        assert [bar.height for bar in drawn] == ["0.0", "1.5", f"{BAR_HEIGHT:.1f}"]
        assert bars([]) == []
