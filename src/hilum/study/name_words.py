"""Words in names of files and folders that say when, where, of whom or which part, and not what is seen."""

from __future__ import annotations

import re

# Folders numbered by time or by chance: the same animals lie in all of them.
ROUND = re.compile(
    r"(?:hour|day|week|month|year|visit|session|time[-_ ]?point|time|tp|fold|batch|part|set)s?[-_ ]?\d+",
    re.IGNORECASE,
)
IMAGE = r"(?:im|img|image)s?[-_ ]?\d+"
# Words that number what was cut out of an image or made from it, or how it was taken: they name nobody.
PART = (
    r"(?:(?:tile|patch|crop|frame|slice|field|fov|view|scan|plane|level|channel|ch|mag|aug|augmented|copy"
    r"|flip|rot|scale|part|row|col)s?[-_ ]?\d+|x\d+|\d+x)"
)
TIME = rf"(?:{ROUND.pattern}|(?:exp|experiment|run)s?[-_ ]?\d+)"
WHO = (
    r"(?:patient|pat|subject|subj|sub|person|donor|volunteer|animal|mouse|mice|rat|rabbit|pig|dog|monkey)"
    r"s?[-_ ]?[a-z]?\d+"
)
SLIDE = r"(?:slide|wsi|case|specimen|biopsy)s?[-_ ]?[a-z]?\d+"
MAGNIFIED = re.compile(r"(?:mag[-_ ]?)?x\d+|(?:mag[-_ ]?)?\d+x|mag[-_ ]?\d+", re.IGNORECASE)
_SITE = (
    r"(?:hospital|site|cent(?:er|re)|institut(?:e|ion)|clinic|department|ward|scanner|device|camera"
    r"|microscope|vendor|cohort|stud(?:y|ies)|series|lab)s?[-_ ]?(?:[a-z]|\d+)"
)
_WHEREABOUTS = re.compile(rf"{TIME}|{WHO}|{SLIDE}|{MAGNIFIED.pattern}|{_SITE}", re.IGNORECASE)
_UID = re.compile(r"\d+(?:\.\d+){2,}")


def names_no_finding(folder: str) -> bool:
    """Whether a folder is named for a time, a person, a slide, a site or a magnification, with its number.

    >>> names_no_finding("fold2"), names_no_finding("hospitalB"), names_no_finding("40X")
    (True, True, True)
    >>> names_no_finding("normal"), names_no_finding("grade2"), names_no_finding("3")
    (False, False, False)
    """
    return _WHEREABOUTS.fullmatch(folder) is not None


def is_uid(folder: str) -> bool:
    """Whether a folder is named by a unique identifier of DICOM, as series are.

    >>> is_uid("2.25.16357741425399464174"), is_uid("1.5")
    (True, False)
    """
    return len(folder) > 9 and _UID.fullmatch(folder) is not None
