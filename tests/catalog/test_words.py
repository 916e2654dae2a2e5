"""Chinese words: found on write and on query, also inside longer ones."""

import pytest

from catalog.creation import create_catalog
from catalog.models import Catalog, Item
from catalog.words import index_words, query_words, words_of

pytestmark = pytest.mark.django_db


def test_words_those_inside_them_and_characters() -> None:
    assert words_of("龙井茶").split() == ["龙井", "龙", "井", "龙井茶", "龙", "井", "茶"]
    assert query_words("苹果手机壳").split() == ["苹果", "手机", "壳"]
    assert "iPhone" in words_of("ｉＰｈｏｎｅ 15").split()  # full-width letters
    assert words_of("") == query_words("") == ""


def test_only_what_changed_is_cut_anew() -> None:
    catalog = create_catalog("cha", kind="product", language="zh-CN")
    item = Item.objects.create(catalog=catalog, external_id="1", title="龙井绿茶")
    assert index_words(catalog) == 1
    assert index_words(catalog) == 0
    item.title = "乌龙茶"
    item.save()
    assert index_words(catalog) == 1
    item.refresh_from_db()
    assert "乌龙茶" in str(item.words)
    assert "绿茶" not in str(item.words)


def test_other_languages_are_left_alone() -> None:
    catalog = create_catalog("tea", kind="product")
    Item.objects.create(catalog=catalog, external_id="1", title="Green tea 绿茶")
    assert index_words(catalog) == 0
    assert Item.objects.get().words is None
    assert not Catalog(language="en").is_chinese
    assert Catalog(language="zh").is_chinese
