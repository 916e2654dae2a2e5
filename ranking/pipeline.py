"""The path of a request, a line a stage."""

from ranking.types import Query, Slate


def recommend(query: Query) -> Slate:
    """Answer a request for recommendations."""
    raise LookupError("not there yet")


def search(query: Query) -> Slate:
    """Answer a search."""
    raise LookupError("not there yet")
