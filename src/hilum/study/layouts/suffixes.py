"""Layout: one folder with `NAME.ext` and `NAME_mask.ext`, also as in the Kaggle ultrasound set."""

from __future__ import annotations

from pathlib import PurePosixPath

from hilum.study.layouts.pairs import Key, named_apart, paired_study, partnered
from hilum.study.listing import Listing
from hilum.study.names import mask_suffix, split_word, stem, without_mask_suffix
from hilum.study.study import Study


def recognise(listing: Listing) -> Study | None:
    """The study where masks lie beside their images under the image's name and a word such as `_mask`.

    An image may have a word of its own (`_image`, `_img`, `_raw`). Several masks of one image (`_mask_1`,
    `_mask_2`) are united parts; under two words (`_mask`, `_seg`) they are targets named by these.
    """
    masks = [(key, path) for path in listing.images if (key := _mask_key(path)) is not None]
    mask_paths = {path for _, path in masks}
    folders = {path.parent for path in mask_paths}
    around = {folder.parent for folder in folders}
    plain = [
        ((*path.parent.parts, stem(path)), path)
        for path in listing.images
        if path not in mask_paths
        and (path.parent in folders or (split_word(path.parent.name) and path.parent.parent in around))
    ]
    images = partnered(plain, {key for key, _ in masks})
    if not any(key in images for key, _ in masks):
        return None
    found = named_apart(masks, lambda path: mask_suffix(stem(path)), images)
    return paired_study(listing, "masks beside their images", images, found)


def _mask_key(path: PurePosixPath) -> Key | None:
    shorter = without_mask_suffix(stem(path))
    return None if shorter is None else (*path.parent.parts, shorter)
