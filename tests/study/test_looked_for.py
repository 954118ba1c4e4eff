from pathlib import Path

import pytest

from hilum.study.looked_for import looked_for, looked_for_findings, ordered_classes
from hilum.study.study import Study


@pytest.mark.parametrize(
    ("healthy", "wanted"),
    [
        ("Uninfected", "Parasitized"),
        ("notumor", "Tumor"),
        ("no_tumor", "glioma"),
        ("NonCOVID", "COVID"),
        ("non-COVID", "COVID"),
        ("noTB", "TB"),
        ("nonAMD", "AMD"),
        ("NonDemented", "VeryMildDemented"),
        ("healthy_tissue", "cancer"),
        ("well", "sick"),
        ("IDC-", "IDC+"),
        ("NEG", "POS"),
        ("no", "yes"),
        ("unfractured", "Fracture"),
        ("normal", "abnormal"),
        ("benign", "malignant"),
    ],
)
def test_the_healthy_class_is_not_what_is_looked_for(healthy, wanted):
    for classes in ((healthy, wanted), (wanted, healthy)):
        assert ordered_classes(classes) == (healthy, wanted)
        finding = looked_for(classes)
        assert finding.severity == "note"
        assert finding.message == f"looked for: {wanted} (else --set data.outputs=[{healthy}])"


@pytest.mark.parametrize("classes", [("cat", "dog"), ("bacteria", "virus"), ("node", "nodule")])
def test_where_no_word_tells_the_order_stays_and_a_warning_says_so(classes):
    assert ordered_classes(classes) == classes
    assert looked_for(classes).severity == "warning"


def test_only_two_classes_that_exclude_each_other_are_told_of():
    two = Study(Path(), "test", (), classes=("normal", "sick"), exclusive=True, grouping="")
    assert [finding.severity for finding in looked_for_findings(two)] == ["note"]
    assert not looked_for_findings(
        Study(Path(), "test", (), classes=("a", "b"), exclusive=False, grouping="")
    )
