import pytest

from hilum.errors import PlanError
from hilum.exchange.submissions import names, start_submission
from hilum.planning.plan import Plan


def test_every_submission_can_be_started():
    plan = Plan()
    plan.data.outputs = ["nerve"]
    for name in names():
        submission = start_submission(name, plan)
        assert callable(submission.add)
        submission.check([])
        assert callable(submission.write)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(PlanError, match="did you mean 'kaggle-rle'"):
        start_submission("kagle-rle", Plan())
