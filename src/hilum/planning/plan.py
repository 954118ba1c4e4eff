"""Every setting of a run, typed, in a few groups; what no one would change is not here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hilum.files import stays_inside


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


class DataPlan(_Group):
    """What goes into the network and what comes out of it."""

    channels: int = Field(3, ge=1, le=64)
    dtype: str | None = Field(None, description="how pixels of the study are stored, like uint8")
    outputs: list[str] = Field(default_factory=list, description="targets or classes, in network order")
    pixel_um: list[Annotated[float, Field(gt=0)]] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="smallest and largest pixel of the flat images of the study, in µm, where they say it",
    )
    dims: Literal[2, 3] = 2
    neighbours: int = Field(0, ge=0, le=8, description="slices above and below taken as further channels")
    flatten_light: bool = Field(False, description="uneven light of a microscope is divided out")
    normalise: Literal["study", "image", "channel", "window"] = Field(
        "study",
        description="by mean and spread of the study, of each image, or of each channel of each image; "
        "window: by its two ends, then by mean and std",
    )
    mean: list[float] = Field(default_factory=list)
    std: list[float] = Field(default_factory=list)
    window: list[float] | None = Field(None, min_length=2, max_length=2)
    downsample: int = Field(1, ge=1, le=64)
    size: list[Annotated[int, Field(ge=1)]] | None = Field(
        None, min_length=2, max_length=2, description="every image is resized to this (Y, X)"
    )
    spacing: list[float] | None = Field(
        None, description="every image is resampled to this spacing, in its own unit and (Z,) Y, X order"
    )
    lungs: Literal["none", "crop", "blank", "classic"] = Field(
        "none",
        description="scans are cut to their lungs; blank: and all else is blanked; classic: as in 2017",
    )
    margin_mm: float = Field(10.0, ge=0, le=100, description="left around the lungs")
    marks_as: Literal["ball", "adaptive", "slices"] = Field(
        "ball", description="masks of marks: balls, their dense part, or three slices of each"
    )
    folds: int = Field(5, ge=1, le=100)
    group_by: str | None = None
    tiles: list[int] | None = Field(
        None, min_length=2, max_length=2, description="training images are cut into (rows, columns) tiles"
    )
    contradictions: Literal["keep", "drop", "half"] = "keep"

    @field_validator("outputs")
    @classmethod
    def _name_folders(cls, names: list[str]) -> list[str]:
        """Outputs name folders of a run, so they may not lead out of it."""
        odd = [name for name in names if not stays_inside(name)]
        if odd:
            raise ValueError(f"{odd[0]!r} cannot be a target's name: its masks get a folder of that name")
        return names

    @property
    def planes(self) -> int:
        """Slices that a network sees at once: its own and its neighbours."""
        return 2 * self.neighbours + 1

    @property
    def seen_channels(self) -> int:
        """Channels that a network takes in: those of the image, of every slice that is seen at once."""
        return self.channels * self.planes


class ModelPlan(_Group):
    """Which network, and its settings."""

    name: str = "unet"
    activation: Literal["sigmoid", "softmax", "softmax+background"] = "sigmoid"
    settings: dict[str, int | float | bool | str | list[int]] = Field(default_factory=dict)
    per_target: bool = Field(False, description="a network of its own for each output")
    members: int = Field(1, ge=1, le=16, description="networks that learn apart and answer together")


class AugmentationPlan(_Group):
    """How far a training sample is moved, warped and recoloured, at most."""

    rotate_deg: float = Field(0.0, ge=0, le=180)
    tumble: bool = Field(False, description="volumes of cubic voxels turn about any axis, not z alone")
    scale: float = Field(0.0, ge=0, le=1, description="log of the largest zoom, in and out")
    shear_deg: float = Field(0.0, ge=0, le=45)
    shift: float = Field(0.0, ge=0, le=0.5, description="share of the patch")
    flip: list[Literal["x", "y", "z"]] = Field(default_factory=list)
    elastic: float = Field(0.0, ge=0, le=64, description="largest displacement in pixels")
    contrast: float = Field(0.0, ge=0, le=1)
    brightness: float = Field(0.0, ge=0, le=2, description="in standard deviations")
    colour: bool = Field(False, description="contrast and brightness vary by channel")
    gamma: float = Field(0.0, ge=0, le=1)
    noise: float = Field(0.0, ge=0, le=2, description="in standard deviations")
    blur: float = Field(0.0, ge=0, le=1, description="share of a 3 pixel mean mixed in")


class TrainingPlan(_Group):
    """How the network learns."""

    minutes: float | None = Field(None, gt=0, description="wall time of the whole command")
    cpu_s: float | None = Field(None, gt=0, description="CPU seconds of training a fold, instead of minutes")
    steps: int | None = Field(None, ge=1, description="steps a fold; planned from the time where empty")
    epochs: float | None = Field(None, gt=0, description="at most so many passes over the training samples")
    patch: list[int] = Field(default_factory=lambda: [256, 256])
    whole: bool = Field(False, description="a sample is a whole image, not a crop")
    batch: int = Field(4, ge=1, le=4096)
    stages: list[Annotated[int, Field(ge=1, le=8)]] = Field(
        default_factory=lambda: [1],
        min_length=1,
        description="equal parts of the steps, each on images shrunk further by so much: [2, 1]",
    )
    rare_share: float = Field(0.5, ge=0, le=1, description="share of samples centred on a target")
    min_share: float = Field(0.0, ge=0, le=1, description="tiles with less of every target are left out")
    loss: str = "bce+dice"
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(3e-3, gt=0, le=100)
    weight_decay: float = Field(1e-2, ge=0)
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="learning rate times this on a plateau")
    plateau_patience: int = Field(3, ge=1, description="epochs without a better watched score")
    warmup: int = Field(50, ge=0)
    ema: float = Field(0.99, ge=0, lt=1)
    norm_batches: int = Field(
        0, ge=0, le=10_000, description="batches that averaged weights are normalised by at the end"
    )
    clip: float = Field(1.0, ge=0)
    stop_at: float | None = Field(None, description="stop once the watched score is above this")
    stop_loss: float | None = Field(None, gt=0, description="and the watched loss below this")
    validation: float = Field(0.0, ge=0, le=0.5, description="share of the training groups held back")
    watch: bool = Field(False, description="held-back cases are scored while training")
    keep: Literal["last", "best"] = Field("last", description="best: by the watched score")
    smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="labels s and 1 - s instead of 0 and 1; exclusive classes share s"
    )
    augment_to: int | None = Field(
        None, ge=1, description="augmented copies are added beforehand until there are so many samples"
    )
    augment_share: float = Field(0.0, ge=0, le=10, description="the same, as a share of the samples")
    precision: Literal["bf16-mixed", "16-mixed", "32-true"] = "32-true"
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = Field(2, ge=1)
    seed: int = Field(0, ge=0)
    augmentation: AugmentationPlan = Field(default_factory=AugmentationPlan)


class InferencePlan(_Group):
    """How a trained network is applied."""

    tile: list[int] | None = None
    tiles: list[int] | None = Field(
        None, min_length=2, max_length=2, description="(rows, columns) of tiles, evenly spread"
    )
    overlap: float = Field(0.25, ge=0, le=0.9)
    flips: list[Literal["x", "y", "z"]] = Field(default_factory=list)
    moves: bool = Field(
        False, description="labels of whole images: also turned, zoomed and shifted a little, averaged"
    )


class ScoringPlan(_Group):
    """How predictions are decided on and scored."""

    threshold: float | Literal["fit", "image"] = Field(
        "fit",
        description="from which probability on a pixel counts; image: of each image the one of the highest "
        "expected Dice; fit: one for all, fitted on the other folds, or image, or 0.5, whichever scores best",
    )
    metric: Literal["dice", "challenge"] = Field(
        "dice", description="challenge: Dice counts 1 where truth and prediction are both empty"
    )
    bootstrap: int = Field(1000, ge=0, le=100_000)
    min_sensitivity: float | None = Field(None, gt=0, le=1)
    cost: float | None = Field(None, gt=0, description="of a missed positive, in false alarms")

    @field_validator("threshold")
    @classmethod
    def _probability(cls, threshold: float | str) -> float | str:
        """Thresholds are probabilities: beyond 0 to 1 all would count, or nothing."""
        if not isinstance(threshold, str) and not 0 <= threshold <= 1:
            raise ValueError("a threshold is a probability, 0 to 1, or fit or image")
        return threshold


class DetectionPlan(_Group):
    """How candidates are found in probability volumes and judged a second time."""

    threshold: float = Field(0.2, gt=0, lt=1, description="connected voxels above this make a candidate")
    merge_mm: float = Field(4.0, ge=0, le=50)
    smallest_mm: float = Field(2.0, ge=0, le=50)
    most: int = Field(50, ge=1, le=500, description="candidates a scan")
    blobs: bool = Field(True, description="round dense spots, found without learning, are candidates too")
    false_positives: float = Field(1.0, gt=0, description="a scan, at the operating point")
    second: Literal["fit", "always", "never"] = Field(
        "fit", description="a second classifier looks at candidates; fit: where other folds say it pays"
    )
    share: float = Field(0.5, gt=0, lt=1, description="of the training time, for the second classifier")
    steps: int | None = Field(None, ge=1, description="its steps a fold; planned from the time where empty")
    cube: int = Field(24, ge=8, le=96, description="voxels a side of what it sees")
    cube_mm: float = Field(1.0, gt=0, le=4, description="size of these voxels")
    width: int = Field(16, ge=4, le=128)
    batch: int = Field(32, ge=2, le=512)


class Plan(_Group):
    """Every setting of a run, with the reason of each planned value in `reasons` (dotted key -> text)."""

    version: Literal[1] = 1
    task: str = "segment"
    recipe: str = "planned"
    source: str | None = Field(None, description="where a recipe comes from")
    data: DataPlan = Field(default_factory=DataPlan)
    model: ModelPlan = Field(default_factory=ModelPlan)
    training: TrainingPlan = Field(default_factory=TrainingPlan)
    inference: InferencePlan = Field(default_factory=InferencePlan)
    scoring: ScoringPlan = Field(default_factory=ScoringPlan)
    detection: DetectionPlan = Field(default_factory=DetectionPlan)
    reasons: dict[str, str] = Field(default_factory=dict, exclude=True)


def resolution_in_words(plan: Plan) -> str:
    """The size or resolution at which networks see images."""
    data = plan.data
    if data.size:
        return f"resized to {data.size[0]} x {data.size[1]} (Y, X)"
    if data.spacing:
        return f"resampled to {' x '.join(f'{size:g}' for size in data.spacing)}, in their own unit"
    return "at full resolution" if data.downsample == 1 else f"at 1/{data.downsample} of their resolution"
