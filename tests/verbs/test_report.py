import shutil

import hilum


def test_the_report_can_be_made_again(phantom_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(phantom_run.folder, run)
    (run / "report.html").unlink()
    path = hilum.report(run)
    assert path == run / "report.html"
    assert path.stat().st_size > 50_000


def test_the_report_tells_the_settings_of_its_own_task_alone(phantom_run):
    page = (phantom_run.folder / "report.html").read_text(encoding="utf-8")
    shown = page.partition('id="plan"')[2].partition("</section>")[0]
    assert "bootstrap" in shown
    assert "cube_mm" not in shown
    assert "Detection" not in shown
