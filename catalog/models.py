"""What is stored: catalogs, items, their vectors and offers, users, interactions, slates."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Q
from pgvector.django import HalfVectorField


class InteractionType(models.TextChoices):
    """Everything that a person can do with an item; a catalog counts some of them."""

    VIEW = "view"
    CLICK = "click"
    ADD = "add"
    PURCHASE = "purchase"
    READ = "read"
    LIKE = "like"
    RATE = "rate"
    HIDE = "hide"


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
        return self.filter(models.Exists(Item.objects.filter(catalog=models.OuterRef("pk"))))


class Catalog(models.Model):
    """The unit of scope: a shop, a news site, anything with items that people pick from."""

    class ItemKind(models.TextChoices):
        PRODUCT = "product"
        ARTICLE = "article"

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    item_kind = models.CharField(max_length=16, choices=ItemKind)
    language = models.CharField(max_length=8, default="en")
    repeat_consumption = models.BooleanField(default=False)  # groceries: yes; news: no
    event_weights = models.JSONField(default=dict)  # interaction type → weight, negatives allowed
    item_half_life_days = models.FloatField(null=True, blank=True)  # how fast an item ages
    diversity = models.FloatField(default=0.1)  # λ of MMR: 0 = by score alone, 1 = by novelty alone
    is_simulated = models.BooleanField(default=False)  # its people are made up; pages say so
    about = models.TextField(blank=True)  # origin and licence of the data
    # The one place where training meets serving; '' = no bundle yet: encoder and popularity answer.
    live_bundle = models.CharField(max_length=80, blank=True, default="")
    # Bumped when items or vectors change, so that every process refreshes its index.
    items_version = models.BigIntegerField(default=0)
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
        ]

    def __str__(self) -> str:
        return self.name

    def touch_items(self) -> None:
        """Tell every serving process that items or vectors of this catalog changed."""
        Catalog.objects.filter(pk=self.pk).update(items_version=F("items_version") + 1)


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


class ItemQuerySet(models.QuerySet["Item"]):
    """Reads of items."""

    def in_slate_order(self, ids: Sequence[int]) -> list["Item"]:
        """The items with these ids, in this order; ids that are gone are left out."""
        found = self.in_bulk(list(ids))
        return [found[item_id] for item_id in ids if item_id in found]

    def without_vector(self, encoder: "EncoderVersion") -> "ItemQuerySet":
        """Items whose text this encoder hasn't seen yet, or has seen in an older wording."""
        current = ItemVector.objects.filter(
            item=models.OuterRef("pk"), encoder=encoder, text_digest=models.OuterRef("text_digest")
        )
        return self.filter(~models.Exists(current))

    def in_category(self, path: str) -> "ItemQuerySet":
        """Items in this category or below it."""
        return self.filter(Q(category=path) | Q(category__startswith=f"{path} > "))

    def with_offers(self, moment: datetime) -> "ItemQuerySet":
        """The same items with `on_offer`, true or false; no query of its own."""
        offers = Offer.objects.active(moment).filter(
            item=models.OuterRef("pk"), kind=Offer.ON_OFFER
        )
        return self.annotate(on_offer=models.Exists(offers))


class Item(models.Model):
    """A shop product or a news article."""

    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="items")
    external_id = models.CharField(max_length=200)
    title = models.TextField()
    body = models.TextField(blank=True, default="")
    category = models.TextField(blank=True, default="")  # path, parts joined by ' > '
    attributes = models.JSONField(default=dict, blank=True)
    price = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    image = models.TextField(blank=True, default="")  # URL or path; '' = draw a tile
    published_at = models.DateTimeField(null=True, blank=True)
    available = models.BooleanField(default=True)
    # md5 over title, category and body, kept by the database: says when a vector is out of date.
    text_digest = models.GeneratedField(
        expression=models.Func(
            F("title"),
            F("category"),
            F("body"),
            function="md5",
            template="md5((title || E'\\n' || category || E'\\n' || body))",
        ),
        output_field=models.CharField(max_length=32),
        db_persist=True,
    )
    search = models.GeneratedField(
        expression=SearchVector("title", weight="A", config="english")
        + SearchVector("category", weight="B", config="english")
        + SearchVector("body", weight="C", config="english"),
        output_field=SearchVectorField(),
        db_persist=True,
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ItemQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("catalog", "external_id", name="item_external_id_unique"),
            models.CheckConstraint(condition=~Q(external_id=""), name="item_external_id_not_empty"),
            models.CheckConstraint(condition=~Q(title=""), name="item_title_not_empty"),
            models.CheckConstraint(
                condition=Q(price__isnull=True) | Q(price__gte=0), name="item_price_not_negative"
            ),
        ]
        indexes: ClassVar = [
            GinIndex(fields=["search"], name="item_search_gin"),
            GinIndex(fields=["title"], name="item_title_trgm", opclasses=["gin_trgm_ops"]),
            models.Index(fields=["catalog", "category"], name="item_by_category"),
            models.Index(fields=["catalog", "-published_at"], name="item_by_published"),
            models.Index(fields=["catalog", "updated_at"], name="item_by_updated"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def text(self) -> str:
        """What the language model reads: title, category, body."""
        return "\n".join(part for part in (self.title, self.category, self.body) if part)

    @property
    def department(self) -> str:
        """The first part of the category path."""
        return self.category.split(" > ")[0]


class OfferQuerySet(models.QuerySet["Offer"]):
    """Reads of offers."""

    def active(self, moment: datetime) -> "OfferQuerySet":
        """Those that hold at this moment; an item may have several, of one kind too."""
        return self.filter(starts_at__lte=moment, ends_at__gt=moment)


class Offer(models.Model):
    """A time during which a shop promotes an item. Written by the importers only."""

    ON_OFFER = "mailer"  # the kind that pages tell visitors of

    # Both keys are the beginning of an index below, and need none of their own.
    catalog = models.ForeignKey(
        Catalog, on_delete=models.CASCADE, related_name="offers", db_index=False
    )
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="offers", db_index=False)
    kind = models.CharField(max_length=32)  # mailer, display, or what a shop calls it
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()  # the first moment after it

    objects = OfferQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("item", "kind", "starts_at", name="offer_unique"),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="offer_ends_after_its_start"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["catalog", "ends_at", "starts_at"], name="offer_by_time"),
        ]


class EncoderVersionQuerySet(models.QuerySet["EncoderVersion"]):
    """Reads of encoders."""

    def learned(self) -> "EncoderVersionQuerySet":
        """Those that a catalog's own text or feedback made."""
        return self.filter(catalog__isnull=False)


class EncoderVersion(models.Model):
    """One exact encoder: weights, pooling and prefixes. Vectors of two versions never mix.

    It was downloaded and is named by the settings, or a catalog's own text or feedback made it.
    """

    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, unique=True)  # sha256 over weights and settings
    dimensions = models.PositiveIntegerField()
    # of a learned one: whose text or feedback it learned from, from which encoder, how, how well
    catalog = models.ForeignKey(
        Catalog, on_delete=models.CASCADE, null=True, blank=True, related_name="encoders"
    )
    parent = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True)
    way = models.CharField(max_length=16, blank=True, default="")
    metrics = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = EncoderVersionQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name}@{self.digest[:8]}"

    @property
    def is_learned(self) -> bool:
        """Whether a catalog made it: its files lie with ours."""
        return self.catalog_id is not None


class ItemVector(models.Model):
    """An item's language-model vector, unit length, beside the encoder that made it.

    A narrow table of its own: beside the text in one row an exact scan takes several times as long.
    The HNSW index is partial, one an encoder version: see ranking/encoder.py.
    """

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="vectors")
    encoder = models.ForeignKey(EncoderVersion, on_delete=models.CASCADE)
    text_digest = models.CharField(max_length=32)
    vector = HalfVectorField()
    encoded_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("item", "encoder", name="itemvector_item_encoder_unique"),
        ]


class InteractionQuerySet(models.QuerySet["Interaction"]):
    """Reads of interactions."""

    def counted(self) -> "InteractionQuerySet":
        """Those that count: suspected bots are kept, and left out here."""
        return self.filter(is_suspected=False)

    def history_of(self, user_id: int, catalog_id: int) -> "InteractionQuerySet":
        """One person's interactions in one catalog, newest first."""
        return self.filter(user_id=user_id, catalog_id=catalog_id).order_by("-timestamp", "-id")

    def with_items(self) -> "InteractionQuerySet":
        """Each with its item, in one query."""
        return self.select_related("item")


class Interaction(models.Model):
    """Who did what with which item, when. Written by catalog/events.py and the importers only.

    The table is partitioned by month of `timestamp`, so its real primary key is (id, timestamp) and
    the idempotency key is (event_id, timestamp): see migration 0002.
    """

    id = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField(default=uuid.uuid4)
    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="interactions")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="interactions")
    type = models.CharField(max_length=16, choices=InteractionType)
    timestamp = models.DateTimeField()
    value = models.FloatField(null=True, blank=True)  # quantity, rating, or seconds of reading
    slate_id = models.UUIDField(null=True, blank=True)
    position = models.SmallIntegerField(null=True, blank=True)  # 0 = first
    is_simulated = models.BooleanField(default=False)
    is_suspected = models.BooleanField(default=False)  # looks like a bot

    objects = InteractionQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "catalog_interaction"


class SlateLog(models.Model):
    """What was shown and why; one row a slate, arrays inside, all in slate order."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True)
    surface = models.CharField(max_length=32)
    created_at = models.DateTimeField(auto_now_add=True)
    bundle_id = models.CharField(max_length=80, blank=True)  # '' = answered without a bundle
    experiment_arm = models.CharField(max_length=80, blank=True, default="")
    query_text = models.TextField(blank=True, default="")
    context = models.JSONField(default=dict)  # hour, weekday, device, session length, anchor item
    item_ids = ArrayField(models.BigIntegerField())
    scores = ArrayField(models.FloatField())
    propensities = ArrayField(models.FloatField())
    sources = ArrayField(models.TextField())  # names joined by '+', one entry an item
    trace = models.JSONField(default=dict)  # stages: name, in, out, ms; sources: name, found, kept
    seen_positions = ArrayField(models.SmallIntegerField(), default=list)  # were really in view

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["catalog", "-created_at"], name="slatelog_by_catalog"),
            models.Index(fields=["user", "-created_at"], name="slatelog_by_user"),
        ]


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
