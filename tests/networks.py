"""Every network of the registry, made small enough for a test; link-unet with both its normalisations."""

SMALL = {
    "unet": {"width": 4, "depth": 2},
    "link-unet": {"width": 4, "depth": 2, "group_from": 16},
    "resnet": {"width": 4},
    "lung-histology-2018": {"widths": [4, 4, 8]},
    "ultrasound-nerve-2016": {"widths": [4, 4, 8]},
    "nodule-2017": {"widths": [4, 4, 8]},
    "medical-256-2018": {"widths": [4, 4, 8]},
    "xray-cnn-2020": {"size": 64, "widths": [4, 4, 4], "dense": 8},
}
