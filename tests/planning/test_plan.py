import re

import pytest
from pydantic import BaseModel, ValidationError

from hilum.planning.draft import keys
from hilum.planning.plan import Plan


def groups(model=Plan):
    yield model
    for info in model.model_fields.values():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from groups(info.annotation)


@pytest.mark.parametrize("group", list(groups()), ids=lambda group: group.__name__)
def test_every_group_says_what_it_is_and_refuses_what_it_does_not_know(group):
    assert group.__doc__
    with pytest.raises(ValidationError):
        group(nonsense=1)


def test_names_say_their_unit():
    names = {key.rsplit(".", 1)[-1] for key in keys()}
    assert not {name for name in names if re.fullmatch(r"(time|memory|size_mb|budget|limit)", name)}
    assert {"rotate_deg", "shear_deg"} <= names


def test_a_plan_is_checked_on_assignment_too():
    plan = Plan()
    with pytest.raises(ValidationError):
        plan.training.batch = 0


def test_reasons_are_no_setting():
    assert "reasons" not in Plan().model_dump()
