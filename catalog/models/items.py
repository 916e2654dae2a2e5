"""Items: what they are, when they are on offer, and their vectors by each encoder."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Q
from pgvector.django import HalfVectorField

from catalog.models.catalogs import Catalog


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
    # Of Chinese catalogs: the words that catalog/words.py finds, and the text_digest they are of.
    words = SearchVectorField(null=True, editable=False)
    words_digest = models.CharField(max_length=32, db_default="", editable=False)
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
            GinIndex(fields=["words"], name="item_words_gin", condition=Q(words__isnull=False)),
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

    It was downloaded and is named by the settings or a catalog, or made from another one: by a
    catalog's own text or feedback, or smaller for a CPU.
    """

    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, unique=True)  # sha256 over weights and settings
    dimensions = models.PositiveIntegerField()
    # How to load one that a catalog names (Catalog.encoder); {} = as the settings say.
    config = models.JSONField(default=dict, blank=True)
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

    def outlives_settings(self, catalog: Catalog) -> bool:
        """Whether it can be loaded whatever the settings name now: all but their own can.

        Their own can, too, where the catalog has named another one since.
        """
        return self.is_learned or bool(self.config) or bool(catalog.encoder)


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
