import pytest

from hilum.errors import HilumError
from hilum.explanation.choice import choose


def test_each_name_once_in_the_asked_order():
    assert choose(["b", "a", "b"], ["a", "b", "c"], "layer") == ["b", "a"]


def test_unknown_name_tells_the_nearest_and_all():
    with pytest.raises(
        HilumError, match=r"no target 'parenchyma' \(did you mean 'Parenchyma'\?\).*Parenchyma, Tumour"
    ):
        choose("parenchyma", ["Parenchyma", "Tumour"], "target")


def test_nothing_near_is_not_guessed():
    with pytest.raises(HilumError, match="no layer 'zzz': choose from encoder, decoder"):
        choose(["zzz"], ["encoder", "decoder"], "layer")
