"""Pictures for items that have none: a drawing chosen by the words of the category.

No photo is invented. A tile is a drawing from static/icons.svg and a colour, both by the kind of
thing. Its tone goes by the maker, as packaging does, and its backdrop by the item, so that
neighbours of one kind can be told apart.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

from catalog.models import Item

BACKDROPS = 6  # motif-0 … motif-5 in static/icons.svg
TONES = 4  # tone-0 … tone-3 in the stylesheet

# The first rule whose words occur decides; from the particular to the general. Words are matched
# from their beginning, so "cook" would match "cookies", and "cookies" wouldn't match "cook".
RULES: tuple[tuple[str, str, str], ...] = (
    # words (a regular expression), drawing, colour
    (r"gift card|greeting|cards?\b", "card", "rose"),
    (r"magazine|newspaper|book", "paper", "stone"),
    (r"cats?\b|(?<!hot )dogs?\b|pets?\b|litter|bird", "paw", "apricot"),
    (r"baby(?! (carrot|spinach|swiss))|infant|diaper", "baby", "sky"),
    (r"pizza", "pizza", "brick"),
    (r"ice cream|sherb|novelt|water ice|popsicle|frozen dessert|whipped", "icecream", "rose"),
    (r"waffle|pancake|french toast", "bread", "apricot"),
    (r"(frozen|frzn) veg", "carrot", "sea"),
    (r"frozen potato|frzn potato|french fr", "potato", "sky"),
    (
        r"frozen (meat|dinner|meal|entree)|frzn meat|dinner|entree|lunch combo|lunchable",
        "meal",
        "dusk",
    ),
    (r"frozen|frzn|ice\b|ice pop", "snow", "sea"),
    (r"yogurt|pudding|gelatin", "yogurt", "rose"),
    (r"cheese", "cheese", "lemon"),
    (r"eggs?\b", "egg", "wheat"),
    (r"milk|buttermilk|cream|dairy", "milk", "sky"),
    (r"butters?\b|margarine|spread", "butter", "lemon"),
    (r"coffee|tea\b|teas|cocoa|hot drink", "cup", "apricot"),
    (r"beer|ale\b|ales|malt|cider", "beer", "wheat"),
    (r"wine|spirit|liquor|champagne|vodka|whisk", "glass", "plum"),
    (r"juice|nectar|lemonade|drink mix|punch", "juice", "apricot"),
    (r"soft drink|soda|cola|energy|isotonic|sports drink|tonic", "soda", "brick"),
    (r"waters?\b", "bottle", "sea"),
    (r"cookie|biscuit|cone", "cookie", "apricot"),
    (r"cracker|breakfast bar|granola|snack bar|wholesome snack|convenient", "box", "wheat"),
    (r"chip|snack|popcorn|pretzel|nut\b|nuts", "chips", "apricot"),
    (r"candy|chocolate|gum\b|mint|sweetener|sugar", "candy", "rose"),
    (r"cake|pastry|pie\b|pies|donut|doughnut|muffin|sweet goods|dessert|cupcake", "cake", "plum"),
    (r"bread|bun\b|buns|roll|bagel|tortilla|dough|baked|bakery|croissant", "bread", "wheat"),
    (r"cereal|oat|mix\b|mixes|flour|rice|baking|stuffing", "box", "wheat"),
    (r"pasta|noodle|macaroni|spaghetti", "pasta", "lemon"),
    (r"soup|broth|chili|stew", "bowl", "brick"),
    (r"spice|season|extract|salt|pepper mill", "spice", "brick"),
    (r"jam|jelly|jellies|peanut|honey|syrup|preserve|pickle|relish|olive", "jar", "plum"),
    (
        r"sauce|condiment|dressing|mayo|ketchup|mustard|salsa|dip|oil|vinegar|shortening",
        "bottle",
        "brick",
    ),
    (r"banana|tropical", "banana", "lemon"),
    (r"citrus|orange|lemon|lime|grapefruit|clementine", "citrus", "apricot"),
    (r"berr|grape|cherr", "berry", "plum"),
    (r"tomato", "tomato", "brick"),
    (r"potato|onion|mushroom|root", "potato", "apricot"),
    (r"carrot", "carrot", "apricot"),
    (r"salad|lettuce|herb|greens|spinach|cabbage|celery", "leaf", "leaf"),
    (r"shelf stable|canned|can\b|beans|hispanic|mexican|oriental|asian|ethnic", "can", "fern"),
    (r"chicken|poultry|turkey|duck", "drumstick", "apricot"),
    (r"sausage|hot ?dog|bacon|lunch ?meat|deli meat|frank|ham\b", "sausage", "brick"),
    (r"seafood|fish|shrimp|salmon|tuna|crab", "fish", "sea"),
    (r"beef|pork|lamb|veal|meat|steak", "steak", "brick"),
    (r"fruit|apple|pear|melon|stone", "apple", "leaf"),
    (r"vegetable|produce|pepper|corn|squash|broccoli|organic", "carrot", "leaf"),
    (
        r"laundry|detergent|bleach|softener|clean|dishwash|dish (soap|deter)|air care|spray",
        "spray",
        "sea",
    ),
    (r"tissue|paper|towel|napkin|wrap|trash|foil|plate|cup", "roll", "sky"),
    (r"hair|soap|lotion|bath|deodorant|shampoo|skin|shav|razor|hygiene|feminine", "soap", "dusk"),
    (r"oral|tooth|dental", "tube", "sea"),
    (r"makeup|make-up|cosmetic|fragrance|nail", "lipstick", "rose"),
    (
        r"vitamin|cold|flu\b|pain|health|medic|first aid|diet|antacid|laxative|remed",
        "pills",
        "fern",
    ),
    (r"floral|florist|flower|bouquet|rose", "flower", "rose"),
    (r"garden|plant|seed|lawn", "plant", "fern"),
    (r"stationery|school|office|pen\b|party|toy|craft", "pencil", "dusk"),
    (r"kitchen|cook|housewares|pan\b|glassware|utensil", "pan", "stone"),
    (r"travel|leisure|luggage|auto", "case", "stone"),
    (r"deli\b|chef|restaurant|prepared|salad bar", "bowl", "fern"),
    (r"nutrition|natural", "leaf", "fern"),
    (r"drug|general merchandise", "soap", "dusk"),
    (r"grocery|pantry", "bag", "fern"),
)
COMPILED = tuple((re.compile(rf"\b(?:{words})"), drawing, hue) for words, drawing, hue in RULES)


@dataclass(frozen=True)
class Tile:
    """What a template needs to draw an item or a category."""

    drawing: str  # id of a symbol in static/icons.svg
    hue: str  # class hue-… in the stylesheet
    backdrop: int  # motif-…
    tone: int  # class tone-…


def tile_for(item: Item) -> Tile:
    """The tile of an item."""
    maker = item.attributes.get("manufacturer") or item.attributes.get("brand")
    return _tile(item.category, item.external_id, str(maker or item.external_id))


def tile_for_category(path: str) -> Tile:
    """The tile of a category."""
    return _tile(path, path, path)


def _tile(path: str, name: str, maker: str) -> Tile:
    drawing, hue = _choose(path)
    return Tile(drawing, hue, crc32(name.encode()) % BACKDROPS, crc32(maker.encode()) % TONES)


@lru_cache(maxsize=4096)
def _choose(path: str) -> tuple[str, str]:
    """Drawing and colour; the last part of the path knows best, so it is asked first."""
    for part in reversed(path.lower().split(" > ")):
        for pattern, drawing, hue in COMPILED:
            if pattern.search(part):
                return drawing, hue
    return "basket", "stone"
