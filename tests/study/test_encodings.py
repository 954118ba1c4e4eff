import json

import numpy as np

from hilum.study.open import understand


def test_palette_masks_become_one_target_an_index(tmp_path, save, picture, disc):
    for seed in range(3):
        mask = np.zeros((64, 80), np.uint8)
        mask[disc((64, 80), (20, 20), 9)] = 1
        if seed == 1:
            mask[disc((64, 80), (40, 60), 9)] = 2
        save(tmp_path / "images" / f"{seed}.png", picture(seed))
        save(tmp_path / "masks" / f"{seed}.png", mask, palette=[0, 0, 0, 128, 0, 0, 0, 128, 0])
    study = understand(tmp_path)
    assert study.targets == ("index-1", "index-2")
    assert study.exclusive
    assert any("without names" in finding.message for finding in study.findings)
    (tmp_path / "labels.json").write_text(json.dumps({"nerve": 1, "vessel": 2}))
    assert understand(tmp_path).targets == ("nerve", "vessel")
    (tmp_path / "labels.json").unlink()
    (tmp_path / "classes.txt").write_text("background\nnerve\nartery\n")
    assert understand(tmp_path).targets == ("nerve", "artery")
