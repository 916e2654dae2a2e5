"""The dashboard in Chinese: no page and no fragment of it leaves English standing."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override

from catalog.item_filter import FilterError, parse
from catalog.models import Catalog, Role, User
from catalog.rules import add_rule
from recsite.dashboard.doctor import forget
from recsite.health import Part
from recsite.templatetags.dashboard import ago, duration, percent, split_words, words
from tests.recsite.dashboard.test_axe_browser import (  # noqa: F401 – fixtures
    dashboard,
    imported,
    run,
    session,
    stocked,
)
from tests.recsite.dashboard.test_playground import asked, two  # noqa: F401 – fixtures
from tests.recsite.untranslated import untranslated
from tests.training.searches import a_search
from training import doctor
from training.models import TrainingRun

pytestmark = pytest.mark.django_db

CHINESE = {"Accept-Language": "zh-hans"}
NAMES = ("Two words per name",)  # of data, in titles


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """A request leaves its language to the thread; the next test begins in English again."""
    with override("en"):
        yield


def found(client: Client, address: str, **asked_for: Any) -> list[str]:
    """The English on the page at this address, each run with the address before it."""
    answer = client.get(address, headers=CHINESE | asked_for)
    told = untranslated(answer.content.decode(), NAMES)
    return [f"{address}: {one}" for one in told]


@pytest.mark.usefixtures("asked", "empty_cache")
def test_no_page_leaves_english_standing(client: Client, dashboard: list[str]) -> None:  # noqa: F811
    forget()
    assert [one for address in dashboard for one in found(client, address)] == []


@pytest.mark.usefixtures("asked", "empty_cache")
def test_no_fragment_of_the_data_leaves_english_standing(
    client: Client,
    dashboard: list[str],  # noqa: F811
) -> None:
    forget()
    check = reverse("dashboard:rule-check", args=["news"])  # it has no bundle of the tests
    fragments = [
        reverse("dashboard:doctor-findings", args=["shop"]),
        f"{reverse('dashboard:doctor', args=['shop'])}?now=1",
        reverse("dashboard:services-now"),
        f"{check}?filter=price+<+2",
        f"{check}?filter=price+<",
        f"{reverse('dashboard:weights', args=['news'])}?read=0.3",
    ]
    paper = Catalog.objects.get(slug="news")
    add_rule(paper, "pin", item_id="item-01", starts_at=timezone.now() + timedelta(days=1))
    add_rule(paper, "boost", filter_text="price < 5", surface="shop-home")
    fragments.append(reverse("dashboard:rules", args=["news"]))
    assert [one for address in fragments for one in found(client, address)] == []


def test_who_may_not_reads_why_in_chinese(client: Client) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True, role=Role.VIEWER)
    client.force_login(viewer)
    answer = client.get(reverse("dashboard:people"), headers=CHINESE)
    assert answer.status_code == 403
    assert "此操作需要管理员角色" in answer.content.decode()
    assert untranslated(answer.content.decode()) == []


def test_a_look_that_several_share_is_told_to_each_in_the_own_language(
    client: Client,
    admin: User,
    shop: Catalog,
) -> None:
    client.force_login(admin)
    forget()
    address = reverse("dashboard:doctor-findings", args=[shop.slug])
    assert "There are no items." in client.get(address).content.decode()
    assert "没有物品。" in client.get(address, headers=CHINESE).content.decode()
    look = doctor.look_at(shop)
    away = Part(False, "The broker cannot be reached: %(cause)s.", "refused")
    with override("en"):
        assert doctor.diagnose(shop, look).findings[0].text == "There are no items."
        assert away.detail == "The broker cannot be reached: refused."
    with override("zh-hans"):
        assert doctor.diagnose(shop, look).findings[0].text == "没有物品。"
        assert away.detail == "无法连接消息代理：refused。"


def test_durations_ages_shares_and_names_of_columns() -> None:
    with override("zh-hans"):
        told = (duration(45), duration(200), duration(7500), percent(0.125))
        assert told == ("45 秒", "3 分 20 秒", "2 小时 5 分", "12.5%")
        assert ago(timezone.now()) == "刚刚"
        assert ago(timezone.now() - timedelta(minutes=3)) == "3\xa0分钟前"
        assert (words("live_bundle"), words("catalog_id")) == ("在线模型包", "目录")
        assert words("learns_from") == "学习来源"
    assert (duration(200), percent(0.125), words("live_bundle")) == (
        "3 min 20 s",
        "12.5 %",
        "live bundle",
    )


def test_splits_are_told_in_words() -> None:
    names = ("time", "leave-last-out", "leave-last-5", "gone since")
    english = ["by time", "everybody’s last pick", "everybody’s last 5 picks", "gone since"]
    assert [split_words(name) for name in names] == english
    with override("zh-hans"):
        told = [split_words(name) for name in names]
    assert told == ["按时间", "每人最近 1 次选择", "每人最近 5 次选择", "gone since"]


def test_what_a_search_and_an_encoder_are_of_is_told_in_chinese(
    client: Client, admin: User, shop: Catalog
) -> None:
    client.force_login(admin)
    a_search(shop, ("fm", {"rank": 16}, 0.2, True), ("fm", {"rank": 4}, 0.25, False))
    address = reverse("dashboard:catalog-models", args=[shop.slug])
    page = " ".join(client.get(address, headers=CHINESE).content.decode().split())
    assert "因子分解机：0.2000 → 0.2500" in page
    assert "每人最近 5 次选择</option>" in page


def test_a_filter_that_cannot_be_read() -> None:
    with override("zh-hans"), pytest.raises(FilterError) as fault:
        parse("price <")
    assert str(fault.value) == "第 8 个字符处应为：数字，例如 4.99；实际为：结尾。"


def test_a_failed_run_keeps_its_own_words(client: Client, admin: User, shop: Catalog) -> None:
    client.force_login(admin)
    shop.items.create(external_id="1", title="Oat milk")
    TrainingRun.objects.create(
        catalog=shop, kind="train", state="failed", error="Too few visits to learn from."
    )
    text = client.get(reverse("dashboard:overview"), headers=CHINESE).content.decode()
    assert '<span lang="en">Too few visits to learn from.</span>' in text
