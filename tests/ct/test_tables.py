import pytest

from hilum.ct.candidates import Candidate
from hilum.ct.tables import (
    read_marks,
    read_submission,
    read_table,
    write_submission,
)
from hilum.errors import StudyError

HEADING = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"


def table(tmp_path, text):
    path = tmp_path / "annotations.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        HEADING + "1.3,-128.6,-175.3,-298.4,5.6\n1.3,103.7,-211.9,-227.1,4.2\n1.4,69.6,-140.9,876.3,5.8\n",
        "\ufeff" + HEADING.upper() + "1.3,-128.6,-175.3,-298.4,5.6\n1.3,103.7,-211.9,-227.1,4.2\n"
        "1.4,69.6,-140.9,876.3,5.8\n\n",
        HEADING.replace(",", ";") + "1.3;-128.6;-175.3;-298.4;5.6\r\n1.3;103.7;-211.9;-227.1;4.2\r\n"
        "1.4;69.6;-140.9;876.3;5.8\r\n",
        "SeriesUID;coordx;coordy;coordz;Diameter;;\n1.3;-128,6;-175,3;-298,4;5,6;;\n1.3;103,7;-211,9;-227,1;4,2\n"
        "1.4;69,6;-140,9;876,3;5,8;;\n",
    ],
)
def test_marks_are_read_whatever_the_dialect(tmp_path, text):
    marks = read_marks(str(table(tmp_path, text)))
    assert {uid: len(found) for uid, found in marks.items()} == {"1.3": 2, "1.4": 1}
    assert marks["1.3"][0].centre == (-128.6, -175.3, -298.4)
    assert marks["1.4"][0].diameter_mm == 5.8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "seriesuid,x,y,z\n1,2,3,4\n",
            "no column coordX, coordY, coordZ, diameter_mm; found seriesuid, x, y, z",
        ),
        ("", "found nothing"),
        (HEADING + "1.3,1,2,three,4\n", "line 2 has coordZ = 'three'"),
        (HEADING + "1.3,1,2,nan,4\n", "finite coordinates"),
        (HEADING + "1.3,1,2,3,4\n,1,2,3,4\n", "line 3 has no seriesuid"),
        (HEADING + "1.3,1,2,3,4\n1.3,1,2,3,4,5\n", "line 3 has 6 values"),
        (HEADING + "1.3,1,2,3,x\n1.3,1,2,3,4\n1.3,1,inf,3,4\n", "line 2 has .*'x', line 4 has .*'inf'"),
        (HEADING + "1.3,1,2\n", "line 2 has 3 values, the heading 5"),
        (HEADING + "1.3,1,2,3,0\n", "line 2 has diameter_mm = '0'"),
    ],
)
def test_bad_tables_are_told(tmp_path, text, message):
    with pytest.raises(StudyError, match=rf"annotations\.csv: .*{message}"):
        read_marks(table(tmp_path, text))


def test_unreadable_files_are_told(tmp_path):
    with pytest.raises(StudyError, match="cannot be read"):
        read_marks(tmp_path / "absent.csv")
    (tmp_path / "latin.csv").write_bytes(b"seriesuid,\xff\xfe\n")
    with pytest.raises(StudyError, match="UTF-8"):
        read_table(tmp_path / "latin.csv", ["seriesuid"])


def test_what_is_written_comes_back(tmp_path):
    found = {
        "1.4": [Candidate((1.25, -2.5, 3.0), 6.0, 0.5, 0.5, 0.4, 113.1)],
        "1.3": [
            Candidate((0, 0, 0), 5.0, 0.2, 0.2, 0.1, 65.0),
            Candidate((9, 9, 9), 5.0, 0.9, 0.9, 0.8, 65.0),
        ],
        "1.5": [],
    }
    write_submission(tmp_path / "submission.csv", found)
    lines = (tmp_path / "submission.csv").read_text().splitlines()
    assert lines[0] == "seriesuid,coordX,coordY,coordZ,probability"
    assert lines[1] == "1.3,9.0000,9.0000,9.0000,0.9"
    back = read_submission(tmp_path / "submission.csv")
    assert back["1.4"] == [((1.25, -2.5, 3.0), 0.5)]
