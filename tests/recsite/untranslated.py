"""Finds English that was left standing on a page that somebody reads in Chinese."""

import re
from collections.abc import Iterable
from html.parser import HTMLParser

# Three or more words in a row. Of those that all begin with a capital none is told: they are names.
ENGLISH_RUN = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*(?:\s+[A-Za-z]+(?:['’-][A-Za-z]+)*){2,}")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
NOT_PROSE = frozenset({"code", "pre", "data", "kbd", "samp", "script", "style", "textarea"})
SPOKEN = ("aria-label", "title", "placeholder", "alt", "hx-confirm")  # attributes that people meet
VOID = frozenset(
    {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)


def untranslated(page: str, names: Iterable[str] = ()) -> list[str]:
    """The runs of three or more English words that a Chinese page shows.

    Left out are elements whose `lang` is not Chinese (an item's title), code (`code`, `pre`,
    `data`, `kbd`, `samp`, and the site's class "code"), and attributes that hold Chinese beside
    a name.

    Parameters
    ----------
    page
        The HTML of a page or of a fragment.
    names
        Names of the data that the page may show without marking them, as a `<title>` does.
    """
    for name in sorted(names, key=len, reverse=True):
        page = page.replace(name, "…")
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    """Keeps the English runs of what is shown; `open` holds a tag and whether it is left out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, bool]] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        foreign = "lang" in values and not values["lang"].startswith("zh")
        left_out = (
            foreign
            or tag in NOT_PROSE
            or "code" in values.get("class", "").split()
            or bool(self.open and self.open[-1][1])
        )
        if not left_out:
            spoken = [values[name] for name in SPOKEN if name in values]
            if values.get("name") == "description" or values.get("type") in {"submit", "button"}:
                spoken += [values.get("content", ""), values.get("value", "")]
            for text in spoken:
                if not CHINESE.search(text):
                    self._keep_runs(text)
        if tag not in VOID:
            self.open.append((tag, left_out))

    def handle_endtag(self, tag: str) -> None:
        if any(tag == name for name, _ in self.open):
            while self.open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not (self.open and self.open[-1][1]):
            self._keep_runs(data)

    def _keep_runs(self, text: str) -> None:
        for run in ENGLISH_RUN.findall(text):
            if any(word[0].islower() for word in run.split()):
                self.found.append(" ".join(run.split()))
