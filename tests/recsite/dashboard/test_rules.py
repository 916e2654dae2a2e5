"""Rules, event weights and dials on the dashboard, and by command."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from catalog.events import Event, log_interactions
from catalog.models import AuditEntry, Catalog, Item, Role, Rule, SlateLog, User
from catalog.people import users_by_external_id
from catalog.rules import add_rule
from ranking import serving
from training.dial_costs import COVERAGE, MARGIN, NDCG
from training.models import RunMetric, RunState, TrainingRun

WEIGHTS = {"view": 0.1, "purchase": 1.0, "hide": -1.0}


@pytest.fixture
def shop(own_folders: None) -> Iterator[Catalog]:
    """Twelve items and fifteen people, of whom the first did most."""
    cache.clear()
    catalog = Catalog.objects.create(
        slug="shop",
        name="Larder",
        item_kind="product",
        event_weights=WEIGHTS,
        repeat_consumption=True,
    )
    items = [
        Item.objects.create(
            catalog=catalog, external_id=f"i{number}", title=f"Thing {number}", price=number
        )
        for number in range(12)
    ]
    people = users_by_external_id(f"p{number}" for number in range(15))
    log_interactions(
        catalog,
        [
            Event(people[f"p{number}"], item.pk, "purchase")
            for number in range(15)
            for item in items[number % 3 : 15 - number]
        ],
    )
    yield catalog
    cache.clear()


def seen_by(role: Role) -> Client:
    client = Client()
    client.force_login(User.objects.create_user(role, is_staff=True, role=role))
    return client


def text_of(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content
    return str(answer.content.decode())


class TestRules:
    def test_adds_switches_and_removes(self, shop: Catalog, staff: Client) -> None:
        page = reverse("dashboard:rules", args=["shop"])
        assert "No rules: the models decide alone" in text_of(staff.get(page))
        form = {"kind": "boost", "filter": "price < 3", "factor": "4", "note": "cheap",
                "place": "1", "starts_at": "2026-01-01T08:00", "surface": ""}  # fmt: skip
        answer = staff.post(reverse("dashboard:rule-add", args=["shop"]), form, follow=True)
        assert "Added: boost price &lt; 3 × 4." in text_of(answer)
        rule = Rule.objects.get()
        assert (rule.factor, rule.note, rule.item) == (4.0, "cheap", None)
        assert rule.starts_at is not None
        assert rule.starts_at.isoformat() == "2026-01-01T08:00:00+00:00"
        serving.forget_all()
        assert '<td class="num">3</td>' in text_of(staff.get(page))
        switch = reverse("dashboard:rule-switch", args=[rule.pk])
        assert "Switched off" in text_of(staff.post(switch, {"on": "no"}, follow=True))
        assert not Rule.objects.get().is_active
        remove = reverse("dashboard:rule-remove", args=[rule.pk])
        assert "Removed" in text_of(staff.post(remove, follow=True))
        assert not Rule.objects.exists()
        shop.refresh_from_db()
        assert shop.rules_version == 3
        assert AuditEntry.objects.filter(kind="rule", who="admin").count() == 3

    @pytest.mark.parametrize(
        ("form", "fault"),
        [
            ({"kind": "boost", "filter": "prize < 3"}, "Character 1: expected not, ( or a field"),
            ({"kind": "boost", "filter": ""}, "Character 1"),
            ({"kind": "boost", "filter": "price < 3", "factor": "0.5"}, "more than 1"),
            ({"kind": "boost", "filter": "price < 3", "factor": "nan"}, "number"),
            ({"kind": "bury", "filter": "price < 3", "factor": "1"}, "less than 1"),
            ({"kind": "pin", "item": "nope"}, "no item &#x27;nope&#x27;"),
            ({"kind": "pin", "item": "i1", "place": "0"}, "place from 1 to 100"),
            ({"kind": "pin", "item": "i1", "surface": "a b"}, "letters, digits"),
            ({"kind": "throne"}, "no kind of rule"),
            ({}, "Kind: This field is required."),
            ({"kind": "pin", "item": "i1", "starts_at": "soon"}, "Starts at: "),
            (
                {"kind": "pin", "item": "i1", "starts_at": "2026-01-02", "ends_at": "2026-01-01"},
                "end after its start",
            ),
        ],
    )
    def test_says_what_is_wrong(
        self, shop: Catalog, staff: Client, form: dict[str, str], fault: str
    ) -> None:
        answer = staff.post(reverse("dashboard:rule-add", args=["shop"]), form)
        assert fault in text_of(answer, 422)
        assert not Rule.objects.exists()

    def test_tells_what_a_filter_means(self, shop: Catalog, staff: Client) -> None:
        check = reverse("dashboard:rule-check", args=["shop"])
        told = text_of(staff.get(check, {"filter": "price < 2"}))
        assert "<b>2</b> of 12 items fit: Thing 0, Thing 1" in told
        told = text_of(staff.get(check, {"filter": "price < "}))
        assert "Character 8: expected a number such as 4.99, found the end." in told
        assert "fit" not in text_of(staff.get(check))

    def test_the_forms_example_means_something_here(self, shop: Catalog, staff: Client) -> None:
        Item.objects.filter(external_id="i3").update(category="Tea > Green")
        page = staff.get(reverse("dashboard:rules", args=["shop"]))
        check = reverse("dashboard:rule-check", args=["shop"])
        told = text_of(staff.get(check, {"filter": page.context["example"]}))
        assert re.search(r"<b>[1-9]\d*</b> of 12 items fit", told)

    def test_costs_few_queries(
        self, shop: Catalog, staff: Client, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(20):
            add_rule(shop, "pin", item_id=f"i{number % 12}")
            SlateLog.objects.create(
                catalog=shop, surface="api", item_ids=[], scores=[], propensities=[], sources=[]
            )
        page = reverse("dashboard:rules", args=["shop"])
        serving.forget_all()
        staff.get(page)
        with django_assert_max_num_queries(8):
            assert "Thing 11" in text_of(staff.get(page))

    def test_the_first_page(self, staff: Client) -> None:
        assert "There is no catalog yet" in text_of(staff.get(reverse("dashboard:all-rules")))

    def test_a_viewer_sees_and_changes_nothing(self, shop: Catalog) -> None:
        rule = add_rule(shop, "exclude", filter_text="price < 3")
        viewer = seen_by(Role.VIEWER)
        for name in ("rules", "weights", "dials"):
            text = text_of(viewer.get(reverse(f"dashboard:{name}", args=["shop"])))
            main = text[text.index("<main") : text.index("</main>")]
            buttons = [one for one in main.split("<button")[1:] if ">Preview<" not in one[:200]]
            assert not buttons, name
        moved = reverse("dashboard:weights", args=["shop"]) + "?view=1"
        assert "another list" in text_of(viewer.get(moved))
        assert "Save</button>" not in text_of(viewer.get(moved))
        for name, args in (("rule-add", ["shop"]), ("rule-remove", [rule.pk]), ("dials", ["shop"])):
            answer = viewer.post(reverse(f"dashboard:{name}", args=args), {"diversity": "1"})
            assert answer.status_code == 403


class TestWeights:
    def test_shows_lists_before_and_after_without_saving(
        self, shop: Catalog, staff: Client, django_assert_max_num_queries: Any
    ) -> None:
        page = reverse("dashboard:weights", args=["shop"])
        assert "Move a slider" in text_of(staff.get(page))
        told = text_of(staff.get(page, {"purchase": "0", "view": "1"}))
        assert told.count('class="compare-lists"') == 10
        assert "people get another list" in told
        assert "interaction" in told
        shop.refresh_from_db()
        assert shop.event_weights == WEIGHTS
        assert not SlateLog.objects.exists()
        fragment = staff.get(page, {"purchase": "0", "view": "1"}, headers={"HX-Request": "true"})
        assert text_of(fragment).strip().startswith("<section")
        with django_assert_max_num_queries(34):  # ten lists of 2 or 3, and what all share
            staff.get(page, {"purchase": "0.2"}, headers={"HX-Request": "true"})

    def test_the_sample_follows_the_seed(self, shop: Catalog, staff: Client) -> None:
        page = reverse("dashboard:weights", args=["shop"])
        first, again, other = (
            staff.get(page, {"view": "1", "seed": seed}).context["comparisons"]
            for seed in ("4", "4", "5")
        )
        people = [[one.person.id for one in shown] for shown in (first, again, other)]
        assert people[0] == people[1] != people[2]
        lengths = [one.person.history for one in first]
        assert lengths == sorted(lengths, reverse=True)
        assert lengths[0] > 8
        assert lengths[-1] < lengths[0] / 2

    def test_saves(self, shop: Catalog, staff: Client) -> None:
        page = reverse("dashboard:weights", args=["shop"])
        told = text_of(staff.post(page, {"view": "0.3", "purchase": "1.0"}, follow=True))
        assert "Saved: view 0.3." in told
        shop.refresh_from_db()
        assert shop.event_weights == WEIGHTS | {"view": 0.3}
        entry = AuditEntry.objects.latest("pk")
        assert (entry.who, entry.differences) == ("admin", [("event_weights, view", 0.1, 0.3)])

    @pytest.mark.parametrize(
        ("sent", "fault"),
        [
            ({"view": "much"}, "view must be a number"),
            ({"view": "-1"}, "view must weigh 0 to 5"),
            ({"view": "nan"}, "view must weigh 0 to 5"),
            ({"hide": "0"}, "hide must weigh less than 0"),
            ({"view": "0", "purchase": "0"}, "At least one"),
        ],
    )
    def test_refuses_nonsense(
        self, shop: Catalog, staff: Client, sent: dict[str, str], fault: str
    ) -> None:
        page = reverse("dashboard:weights", args=["shop"])
        assert fault in text_of(staff.get(page, sent), 422)
        assert fault in text_of(staff.post(page, sent), 422)
        assert fault in text_of(staff.get(page, sent, headers={"HX-Request": "true"}))
        shop.refresh_from_db()
        assert shop.event_weights == WEIGHTS

    def test_nobody_to_show(self, staff: Client) -> None:
        Catalog.objects.create(slug="new", name="New", item_kind="product", event_weights=WEIGHTS)
        page = reverse("dashboard:weights", args=["new"])
        assert "nobody to show lists of" in text_of(staff.get(page, {"view": "1"}))


class TestDials:
    def test_shows_and_saves(self, shop: Catalog, staff: Client) -> None:
        page = reverse("dashboard:dials", args=["shop"])
        assert "no live model to measure" in text_of(staff.get(page))
        assert "another list" in text_of(staff.get(page, {"popularity": "-1"}))
        staff.post(page, {"popularity": "-0.5", "freshness": "3", "exploration": "0.1"})
        shop.refresh_from_db()
        assert (shop.popularity_push, shop.item_half_life_days, shop.exploration) == (-0.5, 3, 0.1)
        staff.post(page, {"freshness": "0"})
        shop.refresh_from_db()
        assert shop.item_half_life_days is None
        assert "diversity must be 0 to 1" in text_of(staff.post(page, {"diversity": "2"}), 422)

    def test_shows_what_was_measured(self, shop: Catalog, staff: Client) -> None:
        run = TrainingRun.objects.create(
            catalog=shop,
            kind="evaluate",
            parameters={"what": "dials"},
            state=RunState.SUCCEEDED,
        )
        for step, ndcg, margin in ((0, 0.21, 0.0123), (100, 0.25, 0.0), (150, 0.27, 0.01)):
            for name, value in ((NDCG, ndcg), (COVERAGE, 0.5), (MARGIN, margin)):
                RunMetric.objects.create(run=run, name=f"popularity/{name}", step=step, value=value)
        told = text_of(staff.get(reverse("dashboard:dials", args=["shop"])))
        assert "−0.0400" in told
        assert "± 0.0123" in told
        assert "-1</td>" in told.replace("\n", "")

    def test_measures_by_a_run(self, shop: Catalog, staff: Client) -> None:
        measure = reverse("dashboard:measure-dials", args=["shop"])
        first, second = staff.post(measure), staff.post(measure)
        run = TrainingRun.objects.get()
        assert first["Location"] == second["Location"] == reverse("dashboard:run", args=[run.pk])
        assert (run.kind, run.parameters) == ("evaluate", {"what": "dials"})


class TestCommands:
    def test_rules(self, shop: Catalog, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("rule", "list", "shop")
        call_command("rule", "add", "shop", "bury", "price < 3", "--until", "2020-01-01T08:00")
        call_command("rule", "add", "shop", "pin", "--item", "i1", "--place", "2")
        one, two = Rule.objects.order_by("pk")
        call_command("rule", "off", "shop", str(two.pk))
        call_command("rule", "list", "shop")
        call_command("rule", "remove", "shop", str(one.pk))
        assert capsys.readouterr().out.splitlines() == [
            "shop has no rules",
            f"{one.pk}: bury price < 3 × 0 (over)",
            f"{two.pk}: pin i1 at place 2 (on)",
            f"off {two.pk}: pin i1 at place 2",
            f"{one.pk}: bury price < 3 × 0 (over)",
            f"{two.pk}: pin i1 at place 2 (off)",
            f"remove {one.pk}: bury price < 3 × 0",
        ]
        for wrong, told in (
            (("add", "shop", "boost", "price <"), "Character 8"),
            (("add", "shop", "pin", "price < 3", "--item", "i1"), "takes no filter"),
            (("add", "shop", "boost", "price < 3", "--item", "i1"), "takes a filter"),
            (("on", "shop", "0"), "no rule 0"),
            (("list", "nope"), "no catalog 'nope'"),
        ):
            with pytest.raises(CommandError, match=told):
                call_command("rule", *wrong)

    def test_weights_and_dials(self, shop: Catalog, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("set_event_weights", "shop", "purchase=2", "like=1.5")
        call_command("set_dial", "shop", "diversity=0.2", "exploration=0.05")
        call_command("set_dial", "shop")
        assert capsys.readouterr().out.splitlines() == [
            "shop: view=0.1 purchase=2 like=1.5 hide=-1",
            *["shop: diversity=0.2 freshness=0 popularity=0 exploration=0.05"] * 2,
        ]
        for wrong, told in (
            (("set_dial", "shop", "speed=1"), "no dial"),
            (("set_dial", "shop", "diversity"), "not NAME=NUMBER"),
            (("set_dial", "shop", "exploration=0.6"), "must be 0 to 0.5"),
            (("set_event_weights", "shop", "sneeze=1"), "no interaction type"),
            (("set_event_weights", "shop", "view=x"), "not NAME=NUMBER"),
        ):
            with pytest.raises(CommandError, match=told):
                call_command(*wrong)
