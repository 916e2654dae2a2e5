"""The newspaper: its pages, the endless feed, reactions, follows, search."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import EVENT_WEIGHTS, Catalog, Follow, Interaction, Item, SlateLog, User
from tests.recsite.ranking_stub import RankingStub, install

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
SECTIONS = ("Business", "Politics", "Sport")


@pytest.fixture
def paper() -> Catalog:
    return Catalog.objects.create(
        slug="news",
        name="The Daily Slate",
        item_kind="article",
        event_weights=EVENT_WEIGHTS["article"],
        is_simulated=True,
    )


@pytest.fixture
def stories(paper: Catalog) -> list[Item]:
    """Sixty articles, one an hour, the sections in turn."""
    now = timezone.now()
    return Item.objects.bulk_create(
        Item(
            catalog=paper,
            external_id=f"story-{number:02}",
            title=f"Headline {number:02}",
            body=f"First paragraph of {number}.\n\nSecond paragraph.",
            category=SECTIONS[number % 3],
            published_at=now - timedelta(hours=number + 1),
            attributes={"published_at_is_simulated": True, "copyright": "© BBC"},
        )
        for number in range(60)
    )


@pytest.fixture(autouse=True)
def ranking(monkeypatch: pytest.MonkeyPatch) -> RankingStub:
    return install(monkeypatch)


def headlines(answer: Any) -> list[str]:
    return re.findall(r"Headline \d\d(?=</a>)", answer.content.decode())


def test_before_the_articles_are_there(client: Client) -> None:
    for name in ("home", "feed", "search"):
        answer = client.get(reverse(f"news:{name}"))
        assert answer.status_code == 503
        assert answer["Retry-After"] == "5"
    assert client.get(reverse("news:section", args=["sport"])).status_code == 503


def test_loading_shows_how_far_it_is(client: Client, paper: Catalog) -> None:
    paper.loads.create(stage="items", done=120, total=2225)
    assert "120 of 2,225" in client.get(reverse("news:home")).content.decode()


def test_the_front_page(client: Client, stories: list[Item]) -> None:
    answer = client.get(reverse("news:home"))
    assert answer.status_code == 200
    page = answer.content.decode()
    shown = headlines(answer)
    assert len(shown) == len(set(shown)), "an article stands twice on the page"
    assert len(answer.context["top"].stories) == 5
    assert len(answer.context["for_you"].stories) == 9
    assert len(answer.context["latest"].stories) == 8
    assert [block["name"] for block in answer.context["blocks"]] == list(SECTIONS)
    assert "readers of this paper are simulated" in page
    assert "Because it is first in the alphabet" in page


def test_every_place_of_the_page_is_in_a_logged_slate(client: Client, stories: list[Item]) -> None:
    page = client.get(reverse("news:home")).content.decode()
    links = re.findall(r"/news/article/(\d+)/\?s=([0-9a-f-]{36})&amp;p=(\d+)", page)
    assert len(links) >= 5 + 9 + 8
    for item_id, slate_id, position in links:
        assert SlateLog.objects.get(pk=slate_id).item_ids[int(position)] == int(item_id)


def test_latest_is_newest_first(client: Client, stories: list[Item]) -> None:
    times = [
        story.item.published_at
        for story in client.get(reverse("news:home")).context["latest"].stories
    ]
    assert times == sorted(times, reverse=True)


def test_what_is_to_come_is_not_shown(client: Client, stories: list[Item]) -> None:
    Item.objects.filter(pk=stories[59].pk).update(published_at=timezone.now() + timedelta(days=1))
    assert "Headline 59" not in headlines(client.get(reverse("news:section", args=["sport"])))


def test_a_front_page_costs_a_bounded_number_of_queries(
    client: Client, stories: list[Item], django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(26):
        client.get(reverse("news:home"))


def test_looking_makes_no_guest(client: Client, stories: list[Item]) -> None:
    client.get(reverse("news:home"))
    client.get(reverse("news:article", args=[stories[0].pk]))
    assert not User.objects.exists()


def test_a_click_is_logged_without_scripts(client: Client, stories: list[Item]) -> None:
    story = client.get(reverse("news:home")).context["for_you"].stories[2]
    assert client.get(story.url).status_code == 200
    client.get(story.url)  # a reload is the same click
    click = Interaction.objects.get()
    assert (click.type, click.item_id, click.position) == ("click", story.item.pk, 2)
    assert click.slate_id == story.slate_id
    assert click.user.is_guest


def test_the_click_counts_in_the_related_shelf(
    client: Client, stories: list[Item], ranking: RankingStub
) -> None:
    story = client.get(reverse("news:home")).context["for_you"].stories[0]
    client.get(story.url)
    related = ranking.queries[-1]
    assert related.surface == "news-related"
    assert related.anchor_item_id == story.item.pk
    assert related.user_id == User.objects.get().pk


def test_an_article(client: Client, stories: list[Item]) -> None:
    page = client.get(reverse("news:article", args=[stories[0].pk])).content.decode()
    assert "<p>First paragraph of 0.</p><p>Second paragraph.</p>" in page
    assert "simulated date" in page
    assert "© BBC, 2004–05" in page
    assert f'data-read-item="{stories[0].pk}"' in page


def test_articles_of_other_catalogs_are_not_here(client: Client, stories: list[Item]) -> None:
    shop = Catalog.objects.create(slug="shop", name="Shop", item_kind="product")
    tea = Item.objects.create(catalog=shop, external_id="tea", title="Tea")
    assert client.get(reverse("news:article", args=[tea.pk])).status_code == 404
    assert client.get(reverse("news:article", args=[2**40])).status_code == 404
    answer = client.post(reverse("news:react"), {"item": tea.pk, "action": "like"})
    assert answer.status_code == 404


def test_a_section_asks_for_its_own(
    client: Client, stories: list[Item], ranking: RankingStub
) -> None:
    answer = client.get(reverse("news:section", args=["sport"]))
    assert ranking.queries[-1].category == "Sport"
    assert {item.category for item in Item.objects.filter(title__in=headlines(answer))} == {"Sport"}
    assert client.get(reverse("news:section", args=["weather"])).status_code == 404


def test_the_feed_never_repeats_itself(client: Client, stories: list[Item]) -> None:
    seen: list[str] = []
    url = reverse("news:feed")
    for number in range(1, 7):
        answer = client.get(url)
        seen += headlines(answer)
        link = re.search(r'class="btn" href="(/news/feed/\?page=\d+&amp;after=[^"]+)"',
                         answer.content.decode())  # fmt: skip
        assert link, f"page {number} leads nowhere"
        url = link[1].replace("&amp;", "&")
    assert len(seen) == 60
    assert len(set(seen)) == 60
    last = client.get(url)
    assert headlines(last) == []
    assert "That was all" in last.content.decode()


def test_three_pages_come_by_themselves_then_a_click_is_asked_for(
    client: Client, stories: list[Item]
) -> None:
    triggers = []
    for number in (1, 2, 3):
        page = client.get(reverse("news:feed"), {"page": number}, headers=HTMX).content.decode()
        assert "<html" not in page
        triggers.append(re.findall(r'hx-trigger="(\w+)"', page)[-1])
    assert triggers == ["revealed", "revealed", "click"]


def test_a_feed_address_that_was_typed(client: Client, stories: list[Item]) -> None:
    second = headlines(client.get(reverse("news:feed"), {"page": 2}))
    assert second == [f"Headline {number}" for number in range(10, 20)]
    for wrong in ({"page": "0"}, {"page": "x"}, {"page": "51"}, {"page": "2", "after": "x"}):
        assert client.get(reverse("news:feed"), wrong).status_code == 404


def react(client: Client, item: Item, action: str, **more: Any) -> Any:
    htmx = more.pop("htmx", False)
    fields = {"item": item.pk, "action": action, "next": "/news/feed/", **more}
    return client.post(reverse("news:react"), fields, headers=HTMX if htmx else {})


def test_less_like_this_vanishes_everywhere_and_can_be_undone(
    client: Client, stories: list[Item], ranking: RankingStub
) -> None:
    slate = client.get(reverse("news:feed")).context["shelf"]
    answer = react(client, stories[0], "hide", slate=slate.slate_id, position=0)
    assert answer["Location"] == "/news/feed/"
    hide = Interaction.objects.get()
    assert (hide.type, hide.slate_id, hide.position) == ("hide", slate.slate_id, 0)
    for url in (
        reverse("news:home"),
        reverse("news:feed"),
        reverse("news:section", args=["business"]),
    ):
        assert "Headline 00" not in headlines(client.get(url))
        assert stories[0].pk in ranking.queries[-1].exclude
    article = client.get(reverse("news:article", args=[stories[0].pk])).content.decode()
    assert 'value="unhide"' in article
    react(client, stories[0], "unhide")
    assert not Interaction.objects.exists()
    assert "Headline 00" in headlines(client.get(reverse("news:home")))


def test_less_like_this_with_scripts_leaves_an_undo_in_the_cards_place(
    client: Client, stories: list[Item]
) -> None:
    slate = client.get(reverse("news:feed")).context["shelf"]
    place = {"slate": slate.slate_id, "position": 0}
    card = react(client, stories[0], "hide", htmx=True, view="card", **place).content.decode()
    assert card.count("<article") == 1
    assert 'value="unhide"' in card
    assert "First paragraph" not in card
    card = react(client, stories[0], "unhide", htmx=True, view="card", **place).content.decode()
    assert "First paragraph of 0." in card
    assert f"?s={slate.slate_id}&amp;p=0" in card


def test_like_and_its_undo(client: Client, stories: list[Item]) -> None:
    bar = react(client, stories[0], "like", htmx=True, view="bar").content.decode()
    assert "<article" not in bar
    assert 'aria-pressed="true"' in bar
    assert 'value="unlike"' in bar
    assert Interaction.objects.get().type == "like"
    page = client.get(reverse("news:feed")).content.decode()
    assert page.count('aria-pressed="true"') == 1
    bar = react(client, stories[0], "unlike", htmx=True, view="bar").content.decode()
    assert 'aria-pressed="false"' in bar
    assert not Interaction.objects.exists()


def test_the_newer_opinion_replaces_the_older(client: Client, stories: list[Item]) -> None:
    react(client, stories[0], "like")
    react(client, stories[0], "hide")
    assert [row.type for row in Interaction.objects.all()] == ["hide"]
    react(client, stories[0], "like")
    assert [row.type for row in Interaction.objects.all()] == ["like"]


def test_one_persons_undo_is_not_anothers(client: Client, stories: list[Item]) -> None:
    react(client, stories[0], "like")
    react(Client(), stories[0], "unlike")
    assert Interaction.objects.get().type == "like"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"action": "love"}, 400),
        ({"item": "x"}, 404),
        ({"item": str(2**70)}, 404),
        ({"slate": "x", "position": "y"}, 302),  # the opinion counts, its place isn't known
        ({"position": "-1"}, 302),
    ],
)
def test_odd_reactions(
    client: Client, stories: list[Item], fields: dict[str, str], status: int
) -> None:
    sent = {"item": str(stories[0].pk), "action": "like", **fields}
    assert client.post(reverse("news:react"), sent).status_code == status


def test_reactions_go_back_to_our_own_pages_only(client: Client, stories: list[Item]) -> None:
    answer = react(client, stories[0], "like", next="https://evil.example/")
    assert answer["Location"] == reverse("news:home")
    assert client.get(reverse("news:react")).status_code == 405


def test_following_a_section_puts_it_first(client: Client, stories: list[Item]) -> None:
    url = reverse("news:follow")
    client.post(url, {"section": "sport", "action": "follow"})
    client.post(url, {"section": "sport", "action": "follow"})
    assert Follow.objects.get().category == "Sport"
    blocks = client.get(reverse("news:home")).context["blocks"]
    assert [block["name"] for block in blocks] == ["Sport", "Business", "Politics"]
    section = client.get(reverse("news:section", args=["sport"])).content.decode()
    assert 'value="unfollow"' in section
    client.post(url, {"section": "sport", "action": "unfollow"})
    assert not Follow.objects.exists()
    assert client.post(url, {"section": "weather"}).status_code == 404


def test_search(client: Client, stories: list[Item], ranking: RankingStub) -> None:
    answer = client.get(reverse("news:search"), {"q": "Headline 1"})
    assert headlines(answer) == [f"Headline {number}" for number in range(10, 20)]
    assert ranking.queries[-1].surface == "news-search"
    assert answer.context["total"] == 10
    everything = client.get(reverse("news:search"), {"q": "headline"})
    assert len(headlines(everything)) == 20
    assert "page=2" in everything.content.decode()
    second = client.get(reverse("news:search"), {"q": "headline", "page": "2"})
    assert headlines(second)[0] == "Headline 20"


@pytest.mark.parametrize("text", ["", "   ", "zzz", "\0", "x" * 5000, "' OR 1=1 --", "<script>"])
def test_searches_that_find_nothing(client: Client, stories: list[Item], text: str) -> None:
    answer = client.get(reverse("news:search"), {"q": text})
    assert answer.status_code == 200
    assert headlines(answer) == []
    assert "<script>" not in answer.content.decode()[200:].split("<main", 1)[1]


def test_an_article_without_section_date_or_body(client: Client, paper: Catalog) -> None:
    bare = Item.objects.create(catalog=paper, external_id="bare", title="Headline 99")
    assert client.get(reverse("news:article", args=[bare.pk])).status_code == 200
    assert client.get(reverse("news:home")).status_code == 200
    assert client.get(reverse("news:feed")).status_code == 200


def test_somebody_elses_link_is_no_click(client: Client, stories: list[Item]) -> None:
    story = client.get(reverse("news:home")).context["for_you"].stories[0]
    client.get(story.url)
    other = Client()
    other.get(story.url)
    assert Interaction.objects.count() == 1
    client.get(f"/news/article/{story.item.pk}/?s={uuid.uuid4()}&p=0")
    client.get(f"/news/article/{story.item.pk}/?s=x&p=y")
    assert Interaction.objects.count() == 1
