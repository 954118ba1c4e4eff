import zipfile

import pytest

from hilum.errors import ImageError
from hilum.image import dicom_files
from hilum.image.dicom_files import files_in


def test_a_folder_a_zip_and_a_file(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"1")
    (tmp_path / "a" / "b" / "two").write_bytes(b"2")
    (tmp_path / "a" / ".hidden").write_bytes(b"3")
    assert [load() for _, load in files_in(tmp_path / "a")] == [b"2", b"1"]
    assert [load() for _, load in files_in(tmp_path / "a" / "one")] == [b"1"]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("/abs/../x", b"4")
        archive.mkdir("empty")
    assert [load() for _, load in files_in(tmp_path / "z.zip")] == [b"4"]


def test_limits_are_kept(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(20))
    monkeypatch.setattr(dicom_files, "_LARGEST_FILE", 10)
    with pytest.raises(ImageError, match="larger than 10 bytes"):
        next(iter(files_in(tmp_path)))[1]()
    monkeypatch.setattr(dicom_files, "_MOST_FILES", 2)
    with pytest.raises(ImageError, match="holds 3 files, above 2"):
        list(files_in(tmp_path))


def test_a_file_that_vanished_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    ((_, load),) = files_in(tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        load()
