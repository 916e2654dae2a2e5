"""People: members, guests, and those whose history was imported."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from catalog.models.catalogs import Catalog


class User(AbstractUser):
    """A person: a member, a guest, or somebody whose history was imported.

    People from a file or the API carry `external_id` and a username that starts with '~', which no
    sign-up form accepts, so that no imported id can ever be a member's or an admin's name.
    """

    external_id = models.CharField(max_length=200, unique=True, null=True, blank=True)
    is_guest = models.BooleanField(default=False)
    is_simulated = models.BooleanField(default=False)
    attributes = models.JSONField(default=dict, blank=True)

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(external_id__isnull=True) | ~Q(external_id=""),
                name="user_external_id_not_empty",
            ),
        ]

    @property
    def label(self) -> str:
        """What pages call this person."""
        if self.is_guest:
            return "Guest"
        return self.external_id or self.username


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
