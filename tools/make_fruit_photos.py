"""Choose the photos of fruit that the package carries, from the Grocery Store dataset.

    python tools/make_fruit_photos.py GROCERY

The folder holds the data set's train, val and test, a folder a class (MIT licence; its home is
github.com/marcusklasson/GroceryStoreDataset), its photos scaled to a shorter side of 128 px. Photos are
copied as they are. Classes are the varieties, which the file names begin with. The data set's own val has
few photos, so every fourth of its test photos is held out with them; the others are the test.
"""

import argparse
import re
import shutil
import sys
from collections import defaultdict
from pathlib import Path

TARGET = Path(__file__).parents[1] / "nas" / "data" / "assets" / "fruit_photos"
FRUIT = ("Apple", "Nectarine", "Orange", "Peach", "Pear", "Satsumas", "Tomato")
EVERY = 4


def by_variety(folder: Path) -> dict[str, list[Path]]:
    """Return the photos of a folder by variety, in order."""
    found = defaultdict(list)
    for photo in sorted(folder.glob("*.jpg")):
        found[re.sub(r"_\d+$", "", photo.stem)].append(photo)
    return found


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grocery", type=Path)
    source = parser.parse_args().grocery
    if TARGET.exists():
        shutil.rmtree(TARGET)
    for split in ("train", "val", "test"):
        for fruit in FRUIT:
            for variety, photos in by_variety(source / split / fruit).items():
                for number, photo in enumerate(photos):
                    part = "val" if split == "test" and number % EVERY == 0 else split
                    folder = TARGET / part / variety
                    folder.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(photo, folder / photo.name)
    shutil.copyfile(source / "LICENSE", TARGET / "LICENSE")
    sizes = {s: len(list((TARGET / s).glob("*/*.jpg"))) for s in ("train", "val", "test")}
    sys.stdout.write(f"{TARGET}: {sizes}\n")


if __name__ == "__main__":
    main()
