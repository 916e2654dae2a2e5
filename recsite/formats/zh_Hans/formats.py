"""Numbers on Chinese pages: groups of three digits, as in English; Django knows the rest."""

THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
