import numpy as np
import pytest

from hilum.ct.lidc import matched, nodule_mask, outlines_mask, parse_reading, reader_masks
from hilum.errors import StudyError
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing

STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
HEAD = '<?xml version="1.0"?><LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader>'
HEAD += "<SeriesInstanceUid>1.2.3</SeriesInstanceUid></ResponseHeader>"


def roi(z, box, inclusion="TRUE"):
    top, left, bottom, right = box
    points = [(x, top) for x in range(left, right + 1)] + [(right, y) for y in range(top + 1, bottom + 1)]
    points += [(x, bottom) for x in range(right - 1, left - 1, -1)]
    points += [(left, y) for y in range(bottom - 1, top, -1)]
    edges = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points)
    return f"<roi><imageZposition>{z} </imageZposition><inclusion>{inclusion}</inclusion>{edges}</roi>"


def nodule(name, *rois):
    return f"<unblindedReadNodule><noduleID>{name}</noduleID>{''.join(rois)}</unblindedReadNodule>"


def reading(*sessions):
    parts = "".join(f"<readingSession>{''.join(session)}</readingSession>" for session in sessions)
    return (HEAD + parts + "</LidcReadMessage>").encode()


def scan(direction=STRAIGHT, z=-20.0):
    array = np.zeros((1, 8, 40, 50), np.int16)
    return Image(array, Spacing((2.5, 0.7, 0.7), "mm"), geometry=Geometry((-10.0, -10.0, z), direction))


A = (10, 12, 20, 24)
B = (11, 13, 21, 25)
POINT = "<roi><imageZposition>-10</imageZposition><inclusion>TRUE</inclusion>"
POINT += "<edgeMap><xCoord>3</xCoord><yCoord>4</yCoord></edgeMap></roi>"
NON = "<nonNodule><nonNoduleID>x</nonNoduleID><imageZposition>-10</imageZposition>"
NON += "<locus><xCoord>3</xCoord><yCoord>4</yCoord></locus></nonNodule>"


def test_outlines_belong_to_the_outside():
    found = parse_reading(reading([nodule("n1", roi(-15.0, A), roi(-12.5, A)), nodule("dot", POINT), NON]))
    assert (found.seriesuid, found.readers) == ("1.2.3", 1)
    assert [one.name for one in found.nodules] == ["n1"]
    mask = nodule_mask(found.nodules[0], scan())
    assert np.unique(np.nonzero(mask)[0]).tolist() == [2, 3]
    expected = np.zeros((40, 50), bool)
    expected[11:20, 13:24] = True
    np.testing.assert_array_equal(mask[2], expected)
    wide = nodule_mask(found.nodules[0], scan(), edge_inside=True)
    assert wide[2].sum() == 11 * 13


def test_exclusions_are_cut_out_with_their_edge():
    hole = (13, 15, 17, 20)
    found = parse_reading(reading([nodule("n", roi(-15.0, hole, "FALSE"), roi(-15.0, A))]))
    mask = nodule_mask(found.nodules[0], scan())
    assert not mask[2, 13:18, 15:21].any()
    assert mask[2].sum() == 9 * 11 - 5 * 6


def test_votes_and_readers():
    found = parse_reading(reading([nodule("a", roi(-15.0, A))], [nodule("b", roi(-15.0, B))], []))
    image = scan()
    one, two, none = reader_masks(found, image)
    np.testing.assert_array_equal(outlines_mask(found, image, 2), one & two)
    np.testing.assert_array_equal(outlines_mask(found, image, 1), one | two)
    assert not none.any()
    assert not outlines_mask(found, image, 3).any()
    with pytest.raises(StudyError, match="4 readers are asked for, the file has 3"):
        outlines_mask(found, image, 4)


def test_nodules_are_matched_across_readers():
    far = (30, 40, 36, 46)
    found = parse_reading(
        reading(
            [nodule("a", roi(-15.0, A)), nodule("far", roi(-5.0, far))],
            [nodule("b", roi(-12.5, B))],
            [nodule("far too", roi(-5.0, far))],
        )
    )
    names = [[one.name for one in group] for group in matched(found, scan())]
    assert names == [["a", "b"], ["far", "far too"]]


def test_outlines_in_no_slice_or_outside_are_named():
    image = scan()
    for content, message in (
        (roi(30.0, A), r"'n' of reader 1 lies in the slice at 30 mm, but .* from -20 to -2\.5 mm"),
        (roi(-13.7, A), r"slice at -13\.7 mm"),
        (roi(-15.0, (10, 12, 20, 60)), "leaves the image"),
    ):
        found = parse_reading(reading([nodule("n", content)]))
        with pytest.raises(StudyError, match=message):
            outlines_mask(found, image, 1)
    found = parse_reading(reading([nodule("n", roi(-15.0, A))]))
    with pytest.raises(StudyError, match="not an axial volume"):
        outlines_mask(found, scan((1.0, 0, 0, 0, 0, -1.0, 0, 1.0, 0)), 1)


def test_a_stack_from_head_to_feet_is_placed_too():
    image = scan((1.0, 0, 0, 0, 1.0, 0, 0, 0, -1.0), z=-5.0)
    found = parse_reading(reading([nodule("n", roi(-10.0, A))]))
    assert np.unique(np.nonzero(outlines_mask(found, image, 1))[0]).tolist() == [2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<a>", "not whole XML"),
        (b"", "not whole XML"),
        (b"<html><body/></html>", "not a LIDC file"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type or entities"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type or entities"),
        (b"<a>" * 50 + b"</a>" * 50, "nested deeper"),
        (reading([nodule("n", roi("high", A))]), "not a LIDC reading file"),
        (reading([nodule("n", roi("nan", A))]), "without place"),
        (reading([nodule("n", "<roi><imageZposition>1</imageZposition></roi>")]), "without place or points"),
    ],
)
def test_bad_files_are_told(content, message):
    with pytest.raises(StudyError, match=message):
        parse_reading(content)


def test_a_file_is_named(tmp_path):
    path = tmp_path / "69.xml"
    with pytest.raises(StudyError, match=r"69\.xml: cannot be read"):
        parse_reading(path)
    path.write_bytes(reading([nodule("n", roi(-15.0, A))]))
    assert len(parse_reading(str(path)).nodules) == 1


@pytest.mark.parametrize(
    "direction",
    [
        (1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0),
        (-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0),
        (0, 1.0, 0, 1.0, 0, 0, 0, 0, 1.0),
    ],
    ids=["rows", "columns", "swapped"],
)
def test_a_volume_that_would_mirror_the_outlines_is_refused(direction):
    found = parse_reading(reading([nodule("n", roi(-15.0, A))]))
    with pytest.raises(StudyError, match="mirrored in it; read the DICOM series itself"):
        outlines_mask(found, scan(direction), 1)


def test_a_patient_lying_face_down_is_as_the_reader_saw_it():
    found = parse_reading(reading([nodule("n", roi(-15.0, A))]))
    prone = outlines_mask(found, scan((-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)), 1)
    np.testing.assert_array_equal(prone, outlines_mask(found, scan(), 1))
