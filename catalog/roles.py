"""Who is staff, and as what: the only writer of roles."""

from django.db import transaction
from django.utils.translation import gettext as _

from catalog.errors import CatalogError
from catalog.models import Role, User

NONE = "none"  # takes a role away


def set_role(username: str, role: str) -> User:
    """Give a member a role on the dashboard, or take it away.

    Parameters
    ----------
    username
        Of somebody who has an account.
    role
        viewer, operator, admin, or none.

    Raises
    ------
    CatalogError
        There is no such account or role, or nobody would be left who can give roles.
    """
    if role not in {*Role.values, NONE}:
        told = {"role": repr(role), "known": ", ".join([*Role.values, NONE])}
        raise CatalogError(_("There is no role %(role)s; there are %(known)s.") % told)
    with transaction.atomic():
        admins = admin_names(lock=True)
        user = User.objects.select_for_update().filter(username=username, is_guest=False).first()
        if user is None or username.startswith("~"):
            told = {"name": repr(username)}
            raise CatalogError(
                _("There is no account %(name)s. Names are as in the log-in.") % told
            )
        if role != Role.ADMIN and admins == [username]:
            told = {"name": username}
            raise CatalogError(
                _("%(name)s is the only admin; make somebody else one first.") % told
            )
        user.role = "" if role == NONE else role
        user.is_staff = role != NONE
        user.is_superuser = user.is_superuser and role == Role.ADMIN
        user.save(update_fields=["role", "is_staff", "is_superuser"])
    return user


def staff() -> list[User]:
    """Everybody with a role, by name."""
    people = User.objects.filter(is_active=True).order_by("username")
    return list(people.filter(is_staff=True) | people.filter(is_superuser=True))


def admin_names(*, lock: bool = False) -> list[str]:
    """Who can give roles; locked to the end of the transaction, so that two cannot both leave."""
    admins = User.objects.filter(is_active=True, is_staff=True, role=Role.ADMIN)
    admins |= User.objects.filter(is_active=True, is_superuser=True)
    if lock:
        admins = admins.select_for_update()
    return [user.username for user in admins.order_by("username")]
