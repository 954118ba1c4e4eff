"""The first page: the images of the study, as plain HTML that is there at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from hilum.studio.desk import Desk
from hilum.studio.gallery import FILTERS, SORTS, Entry, arranged, entries
from hilum.studio.pages.plain import figure_html, findings_html, quoted, whole_page
from hilum.studio.rounds import headline
from hilum.studio.thumbnails import stamp
from hilum.studio.uploads import home_of
from hilum.study.names import counted

SHOWN = 60


@dataclass(frozen=True)
class Tiles:
    """Some tiles of the gallery: `wanted` images of `all`, the next tile not shown yet is the `next`th."""

    html: str
    wanted: int
    all: int
    next: int | None

    @property
    def words(self) -> str:
        """How many there are."""
        return f"{self.wanted} of {self.all}"


def images_html(desk: Desk) -> str:
    """The whole page."""
    desk.refresh(always=False)
    number, layout = counted(len(desk.view.cases), "image"), quoted(desk.view.study.layout)
    parts = (
        f'<div class="row"><h1>{number}</h1><span class="soft">{layout}</span></div>',
        _warnings(desk),
        _scores(desk),
        _loose(desk),
        _adding(desk),
        _gallery(desk),
    )
    return whole_page(desk, "/", "Images", "".join(parts), "images.js")


def _warnings(desk: Desk) -> str:
    """What the layout tells at once; what only a look at every pixel tells comes a moment later."""
    known = desk.inspected if desk.inspected is not None else desk.view.findings
    pending = " data-pending" if desk.inspected is None and desk.view.study.cases else ""
    return (
        f'<section class="findings" id="findings" aria-label="What looks wrong" aria-live="polite"{pending}>'
        f"{findings_html(known)}</section>"
    )


def _scores(desk: Desk) -> str:
    chosen = desk.run
    if chosen is None:
        return ""
    name = chosen.folder.name
    figures = (figure_html(value, f"{of}, out of fold, {name}") for of, value in headline(chosen))
    return f'<div class="figures">{"".join(figures)}</div>'


def _loose(desk: Desk) -> str:
    """Offer to move loose images where masks can lie beside them."""
    if desk.view.study.cases:
        return ""
    paths = [case.image.path for case in desk.view.cases]
    free = [path for path in paths if path.parent == desk.view.root or path.is_dir()]
    if not free:
        return ""
    return (
        f'<div class="card row"><span>{counted(len(free), "image")} of {len(paths)} can be looked at, but '
        "not painted yet: masks need their images in images/, with masks/ beside it. A scan of DICOM slices "
        "is written there as one file; its slices are kept in .studio/originals.</span>"
        '<button type="button" class="plain strong" id="gather">Move them into images/</button>'
        '<span class="soft">Or label them as whole images, which needs no moving:</span>'
        '<a href="/label">Label</a></div>'
    )


def _adding(desk: Desk) -> str:
    home = quoted(str(home_of(desk.view)))
    return (
        '<details class="card" id="adding"><summary>Add images</summary>'
        f'<div class="soft small-text">They are copied into {home}</div><label class="drop">Drop images '
        'here, or press to choose them<input type="file" multiple id="files" aria-label="Add images"></label>'
        '<div id="added" role="status" aria-live="polite" class="small-text"></div></details>'
    )


def _select(name: str, label: str, options: Mapping[str, str]) -> str:
    inside = "".join(f'<option value="{key}">{words}</option>' for key, words in options.items())
    return f'<label>{label}<select id="{name}">{inside}</select></label>'


def _gallery(desk: Desk) -> str:
    tiles = gallery_tiles(desk)
    following = "" if tiles.next is None else str(tiles.next)
    return (
        f'<div class="row end choices">{_select("sort", "Sort by", SORTS)}{_select("keep", "Show", FILTERS)}'
        '<label>Find<input type="search" id="find" placeholder="name, group or split"></label>'
        f'<span class="soft" role="status" id="counted">{tiles.words}</span></div>'
        f'<div class="gallery" id="gallery" data-next="{following}">{tiles.html}</div>'
        '<button type="button" class="plain" id="more" hidden>More</button>'
    )


def gallery_tiles(
    desk: Desk, sort: str = "name", keep: str = "all", text: str = "", start: int = 0, most: int = SHOWN
) -> Tiles:
    """Tiles of the images that are wanted, in the wanted order, from the `start`th on."""
    found = entries(desk.view, desk.all_targets(), desk.run)
    wanted = arranged(found, sort, keep, text)
    page = "/label" if desk.view.kind == "labels" else "/paint"
    end = start + most
    html = "".join(_tile(desk, one, page) for one in wanted[start:end]) or _NONE
    return Tiles(html, len(wanted), len(found), end if end < len(wanted) else None)


_NONE = '<p class="soft">No image is like that: show all, or find another word.</p>'


def _chips(one: Entry, page: str) -> str:
    chips = [(name, "yes") for name in one.annotated] or [("not annotated", "")]
    chips += [(f"no {name}", "warn") for name in one.missing if one.annotated]
    chips += [(f"worst Dice {one.dice:.2f}", "")] if one.dice is not None and page == "/paint" else []
    chips += [(one.flag, "flag")] if one.flag else []
    return " ".join(f'<span class="chip {kind}">{quoted(text)}</span>' for text, kind in chips)


def _tile(desk: Desk, one: Entry, page: str) -> str:
    """One image as a link; the address of its picture changes with its files, so that it can be kept."""
    group = f"group {one.group}" if one.group and one.group != one.name else ""
    under = " · ".join(filter(None, (group, f"split {one.split}" if one.split else "")))
    version = stamp(desk, desk.view.by_name[one.name])
    return (
        f'<a class="tile" href="{page}?case={quote(one.name)}">'
        f'<img loading="lazy" alt="" width="190" height="142" '
        f'src="/api/thumbnail?case={quote(one.name)}&amp;v={version}"><span class="words">'
        f'<span class="name">{quoted(one.name)}</span><span class="soft">{quoted(under)}</span>'
        f'<span class="chips">{_chips(one, page)}</span></span></a>'
    )
