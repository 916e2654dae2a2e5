"""The one domain exception of this package."""


class RankingFault(Exception):
    """Something that ranking needs is missing or wrong; the message says what to do about it."""
