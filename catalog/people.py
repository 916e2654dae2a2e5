"""Rows for people who never signed up: guests, and those whom a file or the API names."""

import hashlib
import uuid
from collections.abc import Iterable

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import F, Func

from catalog.models import Follow, Interaction, SlateLog, User

LONGEST_USERNAME = 150  # characters, Django's limit


def ensure_guest() -> User:
    """A new guest's row; called at a visitor's first write, not at the first look."""
    return User.objects.create(
        username=f"~guest-{uuid.uuid4()}", password=make_password(None), is_guest=True
    )


def attribute_names() -> list[str]:
    """What the attributes are called that anybody has."""
    keys = Func(F("attributes"), function="jsonb_object_keys")
    return sorted(User.objects.values_list(keys, flat=True).distinct())


def imported_username(external_id: str) -> str:
    """The username of a person known by an external id; no sign-up form accepts a '~'."""
    if len(external_id) < LONGEST_USERNAME:
        return f"~{external_id}"
    return f"~{hashlib.sha256(external_id.encode()).hexdigest()}"


def users_by_external_id(external_ids: Iterable[str], *, create: bool = True) -> dict[str, int]:
    """Database ids of the people with these external ids.

    Parameters
    ----------
    external_ids
        As the catalog's own system knows them; neither empty nor longer than 200 characters.
    create
        Whether people who are not there yet are added. Safe when two callers add the same person.

    Returns
    -------
    dict
        External id → id. Without `create`, unknown people are left out.
    """
    wanted = set(external_ids)
    found = _known(wanted)
    missing = sorted(wanted - found.keys())
    if create and missing:
        User.objects.bulk_create(
            [
                User(
                    username=imported_username(name), external_id=name, password=make_password(None)
                )
                for name in missing
            ],
            ignore_conflicts=True,
            batch_size=1000,
        )
        found |= _known(set(missing))
    return found


def merge(guest: User, member: User) -> None:
    """Hand a guest's history over to a member, and delete the guest's row; all or nothing."""
    if guest.pk == member.pk:
        return
    with transaction.atomic():
        Interaction.objects.filter(user=guest).update(user=member)
        SlateLog.objects.filter(user=guest).update(user=member)
        Follow.objects.bulk_create(
            [
                Follow(user=member, catalog_id=catalog_id, category=category)
                for catalog_id, category in guest.follows.values_list("catalog_id", "category")
            ],
            ignore_conflicts=True,
        )
        guest.delete()


def _known(external_ids: set[str]) -> dict[str, int]:
    rows = User.objects.filter(external_id__in=external_ids).values_list("external_id", "pk")
    return {str(external_id): pk for external_id, pk in rows}
