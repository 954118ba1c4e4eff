import logging
from pathlib import Path

from hilum.study.known_classes import with_known_classes
from hilum.study.study import Case, Source, Study


def study_of(*classes):
    cases = tuple(
        Case(chosen, Source(Path(chosen)), labels={name: float(name == chosen) for name in classes})
        for chosen in classes
    )
    return Study(Path("there"), "test", cases, classes=classes, exclusive=True, grouping="")


def test_classes_in_another_case_are_those_of_the_run(caplog):
    caplog.set_level(logging.INFO)
    found = with_known_classes(study_of("Normal", "Pneumonia"), ("NORMAL", "PNEUMONIA"))
    assert found.classes == ("NORMAL", "PNEUMONIA")
    assert found.cases[1].labels == {"NORMAL": 0.0, "PNEUMONIA": 1.0}
    (told,) = caplog.records
    assert told.levelname == "INFO"
    assert "Normal as NORMAL, Pneumonia as PNEUMONIA" in told.getMessage()


def test_images_of_classes_that_the_run_does_not_know_are_warned_of(caplog):
    study = study_of("healthy", "PNEUMONIAS")
    assert with_known_classes(study, ("NORMAL", "PNEUMONIA")) == study
    (told,) = caplog.records
    assert told.levelname == "WARNING"
    text = told.getMessage()
    assert "2 images are of classes that the run does not know" in text
    assert "healthy, PNEUMONIAS (did you mean PNEUMONIA?)" in text


def test_two_spellings_beside_one_another_stay_two_classes():
    assert with_known_classes(study_of("a", "A"), ("A", "b")).classes == ("a", "A")
