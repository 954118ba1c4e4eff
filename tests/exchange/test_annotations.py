from pathlib import Path

from hilum.exchange.annotations import file_names


def test_images_of_one_name_are_told_apart_by_their_folders():
    flat = {"1": Path("/data/1.png"), "2": Path("/other/2.png")}
    assert file_names(flat) == {"1": "1.png", "2": "2.png"}
    deep = {"a/1": Path("/data/new/a/1.png"), "b/1": Path("/data/new/b/1.png"), "2": Path("/data/new/2.png")}
    assert file_names(deep) == {"a/1": "a/1.png", "b/1": "b/1.png", "2": "2.png"}
    assert file_names({"1": Path("a/1.png"), "2": Path("b/1.png")}) == {"1": "a/1.png", "2": "b/1.png"}
    assert file_names({}) == {}
