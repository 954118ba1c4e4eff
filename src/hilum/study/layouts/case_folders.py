"""Layout: one folder a case, `CASE/image.png` beside `CASE/mask.png`."""

from __future__ import annotations

import re

from hilum.study.layouts.pairs import keyed, paired_study
from hilum.study.listing import Listing
from hilum.study.names import DEFAULT_TARGET, IMAGE_WORDS, MASK_WORDS, stem
from hilum.study.study import Study


def recognise(listing: Listing) -> Study | None:
    """The study where files in each folder are called image and mask; numbered masks are united parts."""
    placed = [
        (path, re.sub(r"[-_ ]?\d+$", "", stem(path).lower())) for path in listing.images if path.parent.parts
    ]
    images = keyed((path.parent.parts, path) for path, word in placed if word in IMAGE_WORDS)
    masks = keyed((path.parent.parts, path) for path, word in placed if word in MASK_WORDS)
    single = all(len(paths) == 1 for paths in images.values())
    if not single or not any(key in masks for key in images):
        return None
    return paired_study(listing, "one folder a case", images, {DEFAULT_TARGET: masks})
