"""Catalogs: the unit of scope, what counts in one, its keys, and how far its loads are."""

from typing import ClassVar

from django.apps import apps
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_noop


class InteractionType(models.TextChoices):
    """Everything that a person can do with an item; a catalog counts some of them."""

    VIEW = "view", gettext_noop("View")
    CLICK = "click", gettext_noop("Click")
    ADD = "add", gettext_noop("Add")
    PURCHASE = "purchase", gettext_noop("Purchase")
    READ = "read", gettext_noop("Read")
    LIKE = "like", gettext_noop("Like")
    RATE = "rate", gettext_noop("Rate")
    HIDE = "hide", gettext_noop("Hide")


EVENT_WEIGHTS: dict[str, dict[str, float]] = {
    "product": {
        "view": 0.1,
        "click": 0.2,
        "add": 0.5,
        "purchase": 1.0,
        "like": 1.0,
        "rate": 1.0,
        "hide": -1.0,
    },
    "article": {"view": 0.1, "click": 0.5, "read": 1.0, "like": 1.5, "rate": 1.0, "hide": -1.5},
}


class CatalogQuerySet(models.QuerySet["Catalog"]):
    """Reads of catalogs."""

    def ready(self) -> "CatalogQuerySet":
        """Catalogs that hold at least one item."""
        items = apps.get_model("catalog", "Item")._default_manager  # items.py reads this module
        return self.filter(models.Exists(items.filter(catalog=models.OuterRef("pk"))))


class Catalog(models.Model):
    """The unit of scope: a shop, a news site, anything with items that people pick from."""

    class ItemKind(models.TextChoices):
        PRODUCT = "product"
        ARTICLE = "article"

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    item_kind = models.CharField(max_length=16, choices=ItemKind)
    language = models.CharField(max_length=8, default="en")
    # Its own encoder: fields of ranking.encoder_files.EncoderConfig; {} = the one of the settings.
    encoder = models.JSONField(default=dict, blank=True)
    repeat_consumption = models.BooleanField(default=False)  # groceries: yes; news: no
    event_weights = models.JSONField(default=dict)  # interaction type → weight, negatives allowed
    item_half_life_days = models.FloatField(null=True, blank=True)  # how fast an item ages
    diversity = models.FloatField(default=0.1)  # λ of MMR: 0 = by score alone, 1 = by novelty alone
    # Towards what is popular (1), or away from it (−1).
    popularity_push = models.FloatField(default=0.0, db_default=0.0)
    # Share of places that chance gives to items that few people pick yet.
    exploration = models.FloatField(default=0.0, db_default=0.0)
    is_simulated = models.BooleanField(default=False)  # its people are made up; pages say so
    # Other catalogs whose interactions may help here while little is known of a person. None by
    # default: that somebody did something there is told here by what is recommended.
    learns_from = models.ManyToManyField(
        "self", symmetrical=False, related_name="taught", blank=True
    )
    # Attributes of people that nothing is learned from here, and nothing ranked by.
    ignored_attributes = models.JSONField(default=list, blank=True)
    about = models.TextField(blank=True)  # origin and licence of the data
    # Whether a training that a schedule started may go live by itself, if its gate is all green.
    auto_promote = models.BooleanField(default=False, db_default=False)
    # The one place where training meets serving; '' = no bundle yet: encoder and popularity answer.
    live_bundle = models.CharField(max_length=80, blank=True, default="")
    # What may follow it, and how many percent of the people it answers already; 0 = only named.
    challenger_bundle = models.CharField(max_length=80, blank=True, default="")
    challenger_share = models.PositiveSmallIntegerField(default=0)
    challenger_fault = models.TextField(blank=True, default="")  # why serving let go of it
    gate_limits = models.JSONField(default=dict, blank=True)  # those that differ: training/gate.py
    # Bumped when items or vectors change, so that every process refreshes its index.
    items_version = models.BigIntegerField(default=0)
    # Bumped when rules, weights or dials change, so that every process reads them again.
    rules_version = models.BigIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CatalogQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(diversity__gte=0, diversity__lte=1), name="catalog_diversity_0_1"
            ),
            models.CheckConstraint(
                condition=Q(item_kind__in=["product", "article"]), name="catalog_item_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(challenger_share=0)
                | (Q(challenger_share__lt=100) & ~Q(challenger_bundle="")),
                name="catalog_challenger_share_0_99",
            ),
            models.CheckConstraint(
                condition=Q(popularity_push__gte=-1, popularity_push__lte=1)
                & Q(exploration__gte=0, exploration__lte=0.5),
                name="catalog_dials_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_chinese(self) -> bool:
        """Whether its texts have no spaces between words; see catalog/words.py."""
        return self.language.split("-")[0].lower() == "zh"

    def touch_items(self) -> None:
        """Tell every serving process that items or vectors of this catalog changed."""
        Catalog.objects.filter(pk=self.pk).update(items_version=F("items_version") + 1)

    def withdraw_challenger(self, bundle_id: str, fault: str) -> None:
        """Let the live bundle answer everybody again: serving calls this when the other fails."""
        on_its_way = Catalog.objects.filter(
            pk=self.pk, challenger_bundle=bundle_id, challenger_share__gt=0
        )
        on_its_way.update(challenger_share=0, challenger_fault=fault)

    def touch_rules(self) -> None:
        """Tell every serving process that rules, weights or dials of this catalog changed."""
        Catalog.objects.filter(pk=self.pk).update(rules_version=F("rules_version") + 1)


class ApiKey(models.Model):
    """A program's key to one catalog. Only its hash is kept."""

    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=8, unique=True)  # shown in lists, finds the row
    key_hash = models.CharField(max_length=64)  # sha256 of the whole key, hex
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)


class LoadState(models.Model):
    """How far a long load of a catalog has come: the demo, or an import."""

    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="loads")
    stage = models.CharField(max_length=40)  # items, interactions, vectors …
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True, blank=True)
    message = models.TextField(blank=True, default="")
    started_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("catalog", "stage", name="loadstate_stage_unique"),
        ]
