"""People: members, guests, and those whose history was imported."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from catalog.models.catalogs import Catalog


class Role(models.TextChoices):
    """What a member of staff may do on the dashboard, from the least to the most."""

    VIEWER = "viewer", gettext_noop("Viewer")  # sees everything, changes nothing
    OPERATOR = (
        "operator",
        gettext_noop("Operator"),
    )  # runs, imports, promotes where the gate is not red, rolls back
    ADMIN = (
        "admin",
        gettext_noop("Admin"),
    )  # forces, deletes, edits rules, weights and schedules, gives roles

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what the other one may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class User(AbstractUser):
    """A person: a member, a guest, or somebody whose history was imported.

    People from a file or the API carry `external_id` and a username that starts with '~', which no
    sign-up form accepts, so that no imported id can ever be a member's or an admin's name.
    """

    external_id = models.CharField(max_length=200, unique=True, null=True, blank=True)
    is_guest = models.BooleanField(default=False)
    is_simulated = models.BooleanField(default=False)
    attributes = models.JSONField(default=dict, blank=True)
    # '' = not staff. Written by catalog/roles.py; read it through `staff_role`.
    role = models.CharField(max_length=16, choices=Role, blank=True, default="", db_default="")

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(role__in=["", *Role.values]), name="user_role_known"
            ),
            models.CheckConstraint(
                condition=Q(role="") | Q(is_staff=True), name="user_role_is_for_staff"
            ),
            models.CheckConstraint(
                condition=Q(external_id__isnull=True) | ~Q(external_id=""),
                name="user_external_id_not_empty",
            ),
        ]

    @property
    def label(self) -> str:
        """What pages call this person."""
        if self.is_guest:
            return _("Guest")
        return self.external_id or self.username

    @property
    def staff_role(self) -> Role | None:
        """The role on the dashboard; None for people who are not staff."""
        if self.is_superuser:
            return Role.ADMIN
        if not self.is_staff:
            return None
        return Role(self.role) if self.role else Role.VIEWER

    def has_role(self, role: Role) -> bool:
        """Whether this person may do what the role may."""
        return self.staff_role is not None and self.staff_role.includes(role)

    @property
    def may_operate(self) -> bool:
        """For templates: whether buttons of an operator are shown."""
        return self.has_role(Role.OPERATOR)

    @property
    def may_administer(self) -> bool:
        """For templates: whether buttons of an admin are shown."""
        return self.has_role(Role.ADMIN)


class Follow(models.Model):
    """A person follows a category of a catalog: a news section, a department."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="follows")
    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE)
    category = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("user", "catalog", "category", name="follow_unique"),
        ]
