import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from hilum.reporting import plots
from hilum.reporting.blocks import (
    Callout,
    Card,
    Facts,
    Figure,
    Gallery,
    Heading,
    Headline,
    Legend,
    Panel,
    Section,
    Table,
    Text,
    headline,
)
from hilum.reporting.page import render, write_report
from hilum.reporting.thumbnails import data_uri

EVIL = "<script>alert('x')</script>\"&"
URI = data_uri(np.zeros((8, 8), np.uint8))
VOID = {"meta", "img", "link", "br", "col", "path", "input"}


def every_block(text="plain"):
    svg = plots.training_curve({text: [{"step": 1, "loss": 1.0}]}, "loss")
    card = Card(text, (Panel(URI, text), Panel(URI, text)), ((text, text),), text, text, 0.5)
    return (
        Text(text),
        Heading(text),
        Facts(((text, text),)),
        Table((text, "b"), ((text, 1.5), (None, float("nan"))), text, text, widths=(30, 70), code=(text,)),
        Figure(svg, text, text),
        Figure(svg, text, wide=True),
        Figure(b"\x89PNG", "", media="image/png"),
        Legend(((text, (1, 2, 255)),)),
        Callout("warning", text, (text,)),
        Callout(text, text),
        Gallery((card,)),
        Gallery((Card(text, (Panel(URI),)),)),
    )


class Outline(HTMLParser):
    """Collects tags, addresses and ids, and checks that tags close in order."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.addresses, self.ids, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.addresses += [
            values[key] for key in ("src", "href", "srcset", "action", "data") if values.get(key)
        ]
        if "id" in values:
            self.ids.append(values["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def parsed(page):
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    return outline


@pytest.fixture(scope="module")
def evil_page():
    heads = [Headline(EVIL, EVIL, EVIL), headline(EVIL, 0.9, [0.8, 1.0], EVIL)]
    return render(
        EVIL, EVIL, [Section(EVIL, every_block(EVIL), EVIL), Section(EVIL, ())], heads, version=EVIL
    )


def test_names_are_escaped_everywhere(evil_page):
    assert EVIL not in evil_page
    assert html.escape(EVIL, quote=False)[:14] in evil_page
    assert parsed(evil_page).tags.count("script") == 1


def test_every_text_reaches_the_page(evil_page):
    text = " ".join(parsed(evil_page).text)
    assert text.count(EVIL) > 25


def test_page_loads_nothing(evil_page):
    outline = parsed(evil_page)
    assert outline.addresses
    assert all(address.startswith(("data:", "#")) for address in outline.addresses)
    assert "link" not in outline.tags
    style = re.search(r"<style>(.*?)</style>", evil_page, re.S).group(1)
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"https?:", re.sub(r"base64,[\w+/=]+", "", evil_page))


def test_policy_names_the_one_script(evil_page):
    import base64
    import hashlib

    script = re.search(r"<script>(.*?)</script>", evil_page, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in html.unescape(evil_page)
    assert "default-src 'none'" in html.unescape(evil_page)


def test_anchors_are_unique_and_all_are_linked():
    page = render(
        "run", "", [Section("Scores", (Text("a"),)), Section("Scores", (Text("b"),)), Section("µ", ())]
    )
    outline = parsed(page)
    anchors = [name for name in outline.ids if name != "top"]
    assert anchors == ["scores", "scores-2", "section"]
    assert {f"#{name}" for name in anchors} <= set(outline.addresses)


def test_every_picture_has_words():
    page = render("run", "", [Section("All", every_block())])
    for image in re.findall(r"<img [^>]*>", page):
        assert "alt=" in image


def test_page_of_nothing_is_a_page():
    outline = parsed(render("run", "", []))
    assert "nav" not in outline.tags
    assert "run" in "".join(outline.text)


def test_empty_blocks_say_so():
    blocks = (Table(("a",), ()), Gallery(()), Facts(()), Legend(()), Table((), ()))
    text = " ".join(parsed(render("run", "", [Section("x", blocks), Section("y", ())])).text)
    assert "No rows." in text
    assert "No pictures." in text
    assert "Nothing to show." in text


def test_numbers_are_formatted_aligned_and_sortable():
    table = Table(
        ("case", "dice", "area", "interval"),
        (("12", 0.94216, "1,200 px", "[0.90, 0.95]"), ("7", None, "–", "")),
    )
    assert table.numeric == (False, True, True, True)
    assert table.shown(table.rows[0]) == (
        ("12", ""),
        ("0.9422", "0.94216"),
        ("1,200 px", "1200"),
        ("[0.90, 0.95]", "0.9"),
    )
    assert table.shown(table.rows[1])[1] == ("–", "")


@pytest.mark.parametrize("names", [("1_2", "1_10"), ("1e5", "2"), ("12 KO", "3 WT", "wild"), ("inf", "7")])
def test_names_that_look_like_numbers_are_sorted_as_names(names):
    """Without a key of their own, cells are sorted by their text, numbers in it as numbers."""
    table = Table(("case", "dice"), tuple((name, 0.5) for name in names))
    assert [table.shown(row)[0] for row in table.rows] == [(name, "") for name in names]
    assert [table.shown(row)[1][1] for row in table.rows] == ["0.5"] * len(names)


def test_headline_span_lies_on_its_scale():
    assert headline("Dice", 0.9, [0.8, 1.0]).span == pytest.approx((80, 100, 90))
    assert headline("Dice", 0.9).span is None
    assert headline("Dice", float("nan"), [float("nan")] * 2).text == "–"
    assert Headline("a", "b", "", "", 3.0, (-1.0, 9.0), 0.0, 5.0).span == pytest.approx((0, 100, 60))


def test_report_is_written_whole(tmp_path):
    path = write_report(tmp_path / "deep" / "report.html", "run", "µm", [])
    assert "µm" in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]
