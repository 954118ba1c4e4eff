from dataclasses import replace

from hilum.verbs.beginning import _missed, _told


def test_the_command_line_tells_at_which_size_images_are_seen(phantom_run):
    plan = phantom_run.plan.model_copy(deep=True)
    plan.data.downsample, plan.data.size = 4, None
    assert "images at 1/4 of their resolution" in _told(phantom_run.study, phantom_run.splits, plan)[2]
    plan.data.downsample, plan.data.size = 1, [96, 128]
    assert "images resized to 96 x 128 (Y, X)" in _told(phantom_run.study, phantom_run.splits, plan)[2]


def test_wishes_for_held_back_images_are_told_where_there_are_none(phantom_run):
    plan, splits = phantom_run.plan.model_copy(deep=True), phantom_run.splits
    assert _missed(splits, plan, [0, 1]) == []
    plan.training.keep = "best"
    assert "training.keep=best does nothing: no images are held back" in _missed(splits, plan, [0, 1])[0]
    (fold, *others) = splits.folds
    watched = replace(fold, train=fold.train[1:], val=fold.train[:1])
    assert _missed(replace(splits, folds=(watched, *others)), plan, [0]) == []
