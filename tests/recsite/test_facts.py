"""What the data says, in words for a table."""

from django.utils import translation

from recsite import facts


def test_plain_values_are_told_and_codes_are_not() -> None:
    attributes = {"household_size": 4, "brand": "", "type_code": "X", "tags": ["a"], "my_word": "b"}
    assert facts.of(attributes) == [("Household size", "4"), ("My word", "b")]


def test_names_that_are_known_are_translated() -> None:
    with translation.override("zh-hans"):
        assert facts.of({"size": "8 oz", "my_word": "b"}) == [("规格", "8 oz"), ("My word", "b")]
