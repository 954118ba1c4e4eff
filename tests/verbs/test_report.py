import shutil

import hilum


def test_the_report_can_be_made_again(phantom_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(phantom_run.folder, run)
    (run / "report.html").unlink()
    path = hilum.report(run)
    assert path == run / "report.html"
    assert path.stat().st_size > 50_000
