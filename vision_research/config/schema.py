"""The typed tree of a run: every knob, documented where it is declared.

These dataclasses are OmegaConf structured configs, so that a misspelt key or a wrong type is refused while composing.
Not frozen (OmegaConf could not merge into them) and with real annotations (it reads them at run time).
Trees that MMEngine owns (a detector, a transform) stay `dict[str, Any]`. Rules that cross groups live in `validate`.
One file, though long, since it is where a person looks every knob up; most of it is their descriptions.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING


class DataKind(Enum):
    """How the annotations are written."""

    digits = "digits"
    coco = "coco"
    voc = "voc"
    mot = "mot"
    youtube_vis = "youtube_vis"
    digits_video = "digits_video"
    digits_panoptic = "digits_panoptic"
    digits_semi = "digits_semi"
    reid = "reid"
    digits_reid = "digits_reid"
    zoo = "zoo"

    @property
    def is_embedded(self) -> bool:
        """Whether the project brings the data along, and makes it on first use."""
        return self.value.startswith("digits")


class Device(Enum):
    """What a rank computes on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Precision(Enum):
    """Arithmetic of the forward pass; below fp32 it is automatic mixed precision."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


class Decay(Enum):
    """How the learning rate falls after the warm-up."""

    constant = "constant"
    multistep = "multistep"
    cosine = "cosine"


class Tracker(Enum):
    """Where runs are recorded."""

    mlflow = "mlflow"
    none = "none"


class StorageKind(Enum):
    """Where files live."""

    local = "local"
    s3 = "s3"


class ExportFormat(Enum):
    """A file that a detector can become."""

    torchscript = "torchscript"
    onnx = "onnx"
    openvino = "openvino"
    pt2 = "pt2"
    tensorrt = "tensorrt"


class ExportPrecision(Enum):
    """Arithmetic of an exported network; preprocessing, decoding and suppression stay in fp32."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"


@dataclass
class DataConfig:
    """The images, their annotations, and how they are fed.

    Attributes:
        kind: `coco` (COCO JSON), `mot` and `youtube_vis` (the same of videos, with tracks or with masks), `voc` (Pascal
            VOC folders), `reid` (crops with identities), `digits` and the like (made on first use) or `zoo` (what a
            file of MMDetection's zoo names: `data=zoo/FAMILY/CONFIG`).
        root: folder that `*_ann` and `*_prefix` are relative to; it may be in S3, as each of those (`s3://BUCKET/KEY`).
        train_ann: annotation file of the training split.
        val_ann: annotation file of the validation split.
        test_ann: annotation file of the test split, if there is one.
        img_prefix: folder of the images, for every split that names no own one.
        train_prefix: images of the training split, where they have a folder of their own (COCO's `train2017/`).
        val_prefix: likewise for validation.
        test_prefix: likewise for test.
        train_panoptic: COCO panoptic JSON of the training split, its maps in the folder of the same name without
            `.json`; panoptic detectors and semantic branches are trained on it.
        val_panoptic: likewise for validation.
        test_panoptic: likewise for test.
        train_proposals: boxes of the training images that were computed before, for Fast R-CNN: an `.npz` file that
            `python -m vision_research.test run=RUN_OF_AN_RPN proposals=FILE.npz` has written.
        val_proposals: likewise for validation.
        test_proposals: likewise for test.
        unlabelled_ann: COCO file of images that a semi-supervised detector learns from without annotations (as
            `image_info_unlabeled2017.json`); annotations that it has are not read.
        unlabelled_prefix: folder of these images; null is `img_prefix`.
        source_ratio: labelled and unlabelled images in a batch of a semi-supervised detector, one to the other.
        classes: which classes, in which order; null reads them from the training annotations.
        batch_size: images per rank and iteration.
        val_batch_size: images per rank in validation.
        num_workers: loader processes per rank.
        persistent_workers: keep the loader processes from epoch to epoch.
        repeat: how often the training split is seen per epoch.
        oversample_thr: repeat images of classes rarer than this share of the images (LVIS' class-balanced sampling).
        limit_train: use only the first N training images.
        limit_val: use only the first N validation images.
        keep_empty: train on images without boxes too.
        strict: refuse boxes outside the image or of zero size, in place of dropping them with a count.
        max_bad_images: training images that may fail to decode before the run stops.
        image_size: [height, width] that suits these images; null leaves it to the detector.
        flip_prob: probability of a mirror image; 0 where a mirrored object is another one (digits, text). null is the
            augmentation's own: 0.5, or what its zoo file says.
        default_weights: what `model.weights` is when it is not typed.
        recipe: with `kind: zoo`, data sets, loaders and evaluators in the words of the file.
    """

    kind: DataKind = DataKind.coco
    root: str = MISSING
    train_ann: str = MISSING
    val_ann: str = MISSING
    test_ann: str | None = None
    img_prefix: str = ""
    train_prefix: str | None = None
    val_prefix: str | None = None
    test_prefix: str | None = None
    train_panoptic: str | None = None
    val_panoptic: str | None = None
    test_panoptic: str | None = None
    train_proposals: str | None = None
    val_proposals: str | None = None
    test_proposals: str | None = None
    unlabelled_ann: str | None = None
    unlabelled_prefix: str | None = None
    source_ratio: list[int] = field(default_factory=lambda: [1, 4])
    classes: list[str] | None = None
    batch_size: int = 8
    val_batch_size: int = 8
    num_workers: int = 2
    persistent_workers: bool = True
    repeat: int = 1
    oversample_thr: float | None = None
    limit_train: int | None = None
    limit_val: int | None = None
    keep_empty: bool = False
    strict: bool = False
    max_bad_images: int = 10
    image_size: list[int] | None = None
    flip_prob: float | None = None
    default_weights: str = "backbone"
    recipe: dict[str, Any] | None = None


@dataclass
class AugConfig:
    """What happens to an image between the file and the detector.

    A pipeline is an ordered mapping of named steps, so that one of them can be changed or removed
    (`aug.train.flip=null`) without writing the others again. Loading and packing are added around it.

    Attributes:
        train: steps of the training pipeline.
        final: steps of the weak pipeline for the end of training; null keeps `train` to the end.
        final_epochs: how many epochs at the end use `final`.
        test: steps for validation and test; null is resize (and pad, where the detector's recipe pads).
        imports: Python modules to import first, so that the transforms they register can be named.
        image_size: [height, width] that the pipelines were written for; null leaves it to the detector.
        recipe: with `aug=zoo/FAMILY/CONFIG`, in place of the steps: pipelines, wrappers of the data set and the hooks
            that switch stages, in the words of the file (`aug.recipe.train.pipeline.2.prob=0.3` changes one).
    """

    train: dict[str, Any] = field(default_factory=dict)
    final: dict[str, Any] | None = None
    final_epochs: int = 0
    test: dict[str, Any] | None = None
    imports: list[str] = field(default_factory=list)
    image_size: list[int] | None = None
    recipe: dict[str, Any] | None = None


@dataclass
class ScheduleConfig:
    """How long, how fast, and how often to look.

    Attributes:
        max_epochs: length in epochs; exactly one of this and `max_iters` is set.
        max_iters: length in iterations.
        lr: learning rate; null takes the detector's recipe, scaled to the effective batch.
        optimizer: name of the optimizer (`SGD`, `AdamW`); null takes the recipe's.
        weight_decay: of the optimizer; null takes the recipe's, or 0 with another optimizer.
        optimizer_args: further arguments of the optimizer (`+schedule.optimizer_args.momentum=0.9`).
        warmup_iters: iterations of linear warm-up (at most a tenth of the training).
        warmup_start_factor: share of the learning rate that the warm-up starts from.
        decay: how the learning rate falls.
        milestones: for `multistep`, where it falls, as shares of the training (`[0.667, 0.917]` is 8 and 11 of 12).
        gamma: for `multistep`, by how much.
        decay_begin: for `cosine`, the share of the training after which it begins to fall.
        min_lr_factor: for `cosine`, the share of the learning rate that it ends at.
        val_interval: validate every so many epochs (or iterations, if `max_iters` is set).
        dynamic_intervals: `[[20, 1]]` with `val_interval: 5` validates after 5, 10, 15, 19, 20, 21, ...: MMEngine turns
            to a new interval at the end of the one before its start. The log names the first validations of every run.
        checkpoint_interval: save every so many; null is `val_interval`.
        max_keep_ckpts: how many of the newest checkpoints stay on disk.
        accumulation: iterations whose gradients are summed before the optimizer steps.
        clip_grad: largest gradient norm; null takes the recipe's, 0 turns it off.
        ema: average the weights; null takes the recipe's.
        ema_momentum: weight of the newest value in the average, where `ema` is true and the recipe has none.
        auto_scale_lr: scale the learning rate by batch x ranks x accumulation over the base batch size. null scales
            the recipe's but leaves a typed `schedule.lr` alone; true scales that too; false scales nothing.
        base_batch_size: the batch that the learning rate is meant for; null takes the recipe's.
        early_stopping: stop after so many validations without a better `monitor`; null never.
        early_stopping_min_delta: what counts as better.
        monitor: metric that the best checkpoint, early stopping and sweeps look at; what it is where nothing is typed
            follows from detector and data (`coco/bbox_mAP`, `motchallenge-metric/HOTA`, `youtube_vis/segm_mAP`,
            `panoptic/PQ`, `teacher/coco/bbox_mAP`).
        recipe: with `schedule=zoo/FAMILY/CONFIG`, loops, optimizer and schedulers in the words of the file. What is
            typed beside it is laid over it: another length stretches it; null is as the file has it.
    """

    max_epochs: int | None = None
    max_iters: int | None = None
    lr: float | None = None
    optimizer: str | None = None
    weight_decay: float | None = None
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    warmup_iters: int | None = 500
    warmup_start_factor: float | None = 0.001
    decay: Decay | None = Decay.multistep
    milestones: list[float] | None = field(default_factory=lambda: [0.667, 0.917])
    gamma: float | None = 0.1
    decay_begin: float | None = 0.5
    min_lr_factor: float | None = 0.05
    val_interval: int = 1
    dynamic_intervals: list[list[int]] = field(default_factory=list)
    checkpoint_interval: int | None = None
    max_keep_ckpts: int = 3
    accumulation: int = 1
    clip_grad: float | None = None
    ema: bool | None = None
    ema_momentum: float = 0.0002
    auto_scale_lr: bool | None = None
    base_batch_size: int | None = None
    early_stopping: int | None = None
    early_stopping_min_delta: float = 0.001
    monitor: str = "${monitor:}"
    recipe: dict[str, Any] | None = None


@dataclass
class HwConfig:
    """The machines, and how the detector is laid out on them.

    Attributes:
        device: `auto` takes GPUs where there are any.
        num_procs: ranks per node; null is one per GPU, or one on a machine without.
        num_nodes: machines.
        node_rank: number of this machine; null asks Slurm (SLURM_NODEID), else 0.
        rdzv_endpoint: `host:port` of the first machine; needed when `num_nodes` is over 1.
        max_restarts: how often torchrun restarts the ranks after a crash; they go on from the last checkpoint.
        precision: fp32, fp16 or bf16 (automatic mixed precision).
        compile: torch.compile the backbone and the neck.
        channels_last: NHWC memory layout.
        activation_checkpointing: recompute the backbone's activations in the backward pass to save memory.
        deterministic: refuse algorithms whose result differs from run to run.
        cudnn_benchmark: let cuDNN search the fastest algorithm (for images of one size).
        num_threads: CPU threads per rank; null shares the cores evenly.
        timeout_s: how long a rank waits for the others before it fails, in seconds.
        find_unused_parameters: DDP's; for detectors that skip parts of themselves.
    """

    device: Device = Device.auto
    num_procs: int | None = None
    num_nodes: int = 1
    node_rank: int | None = None
    rdzv_endpoint: str | None = None
    max_restarts: int = 0
    precision: Precision = Precision.fp32
    compile: bool = False
    channels_last: bool = False
    activation_checkpointing: bool = False
    deterministic: bool = False
    cudnn_benchmark: bool = False
    num_threads: int | None = None
    timeout_s: int = 1800
    find_unused_parameters: bool = False


@dataclass
class TrackingConfig:
    """Where the run is recorded.

    Attributes:
        kind: `mlflow` or `none`.
        uri: MLflow's address (`sqlite:///mlflow.db`, `http://host:5000`); null takes MLFLOW_TRACKING_URI.
        experiment: MLflow experiment.
        run_name: name of the run; null is the name of its work_dir.
        tags: tags of your own.
        log_checkpoints: upload the best and the last checkpoint.
        spool_limit_mb: how much may wait on disk while the server is away.
        timeout_s: how long one request may take, in seconds.
    """

    kind: Tracker = Tracker.mlflow
    uri: str | None = "sqlite:///mlflow.db"
    experiment: str = "vision_research"
    run_name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    log_checkpoints: bool = True
    spool_limit_mb: int = 256
    timeout_s: float = 10.0


@dataclass
class StorageConfig:
    """Where files live, and how S3 is reached wherever an address starts with `s3://`.

    Credentials have no key here: boto3 finds them (environment, profile, role of the machine).

    Attributes:
        kind: `local` or `s3`.
        runs: folder in which a run without a typed `work_dir` makes its own.
        endpoint_url: of an S3 server that is not AWS; null is AWS, or what AWS_ENDPOINT_URL_S3 says.
        region: of the buckets; null is what boto3 finds.
        profile: section of ~/.aws/config; null is what boto3 finds.
        cache_dir: folder of the disk cache that all processes of a machine share; null reads from S3 every time.
        cache_size_gb: what the cache may hold, 10^9 bytes; what was not used for longest goes first.
        packed: the data was packed by `python -m vision_research.pack`: images come in blocks, by one request each.
        prefetch: images that each loader process fetches ahead of the batches to come; 0 for none.
        give_up_after_s: how long a request is made again while the server is away, in seconds; then the run fails.
        checkpoints: folder in S3 in which every run gets a copy of its own folder; null keeps runs on this machine.
    """

    kind: StorageKind = StorageKind.local
    runs: str = "runs"
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    cache_dir: str | None = "~/.cache/vision_research/s3"
    cache_size_gb: float = 50.0
    packed: bool = False
    prefetch: int = 64
    give_up_after_s: float = 120.0
    checkpoints: str | None = None


@dataclass
class ExportConfig:
    """What the best checkpoint becomes.

    Attributes:
        formats: any of torchscript, onnx, openvino, pt2 and tensorrt; none exports nothing.
        shape: of the input tensor: [height, width]; `dynamic` follows the image within `bounds`; null brings images to
            size as the test pipeline does.
        bounds: with `shape=dynamic`, smallest and largest [height, width] of the input tensor.
        batch: images at once; `dynamic` takes any number.
        precision: fp32, fp16, bf16, or int8 (calibrated on validation images).
        preprocess: true takes HxWx3 uint8 images of any size, false the normalised tensor.
        fuse: TorchScript: fold batch norms into convolutions and compute channels last, a quarter to a third faster on
            a CPU; sums come in another order, so that it is compared within the bounds of another runtime.
        score_thr: lowest score that is given out; null takes the detector's test_cfg.
        thresholds: a `thresholds.json`, whose score threshold of each class is built in.
        verify: compare the artifact with the detector in Python.
        num_images: validation images to compare on.
        output: file to write, or its address in S3; null is `export/model` with the format's suffix in the folder of
            the run.
    """

    formats: list[ExportFormat] = field(default_factory=lambda: [ExportFormat.torchscript])
    shape: Any = None
    bounds: list[list[int]] | None = None
    batch: Any = 1
    precision: ExportPrecision = ExportPrecision.fp32
    preprocess: bool = True
    fuse: bool = False
    score_thr: float | None = None
    thresholds: str | None = None
    verify: bool = True
    num_images: int = 32
    output: str | None = None


@dataclass
class DebugConfig:
    """Looking inside a run.

    Attributes:
        profile_iters: iterations to record with torch.profiler; 0 for none.
    """

    profile_iters: int = 0


@dataclass
class TrainConfig:
    """One training run.

    Attributes:
        model: an MMDetection detector, and beside it `weights` (none; backbone, what the zoo file names; coco,
            MMDetection's own checkpoint; or a checkpoint: FILE.pth, s3://, https:// or runs:/ID) and `recipe` (what
            its authors trained it with: optimizer, base batch size, image size).
        image_size: [height, width] that images are brought to.
        seed: of Python, NumPy, torch and the samplers.
        work_dir: folder of the run; null makes a new one under `storage.runs`. One in S3 (`s3://BUCKET/runs/NAME`) is a
            copy of `storage.runs`/NAME, kept up to date while the run goes on.
        resume: true goes on with the last run of the same command; a work_dir, here or in S3, goes on with that one.
        log_interval: iterations between two logged lines.
        recipe: with `experiment=zoo/FAMILY/CONFIG`, what the file says that belongs to no group.
    """

    model: dict[str, Any] = MISSING
    data: DataConfig = field(default_factory=DataConfig)
    aug: AugConfig = field(default_factory=AugConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    hw: HwConfig = field(default_factory=HwConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    debug: DebugConfig = field(default_factory=DebugConfig)
    image_size: list[int] = MISSING
    seed: int = 0
    work_dir: str | None = None
    resume: Any = False
    log_interval: int = 10
    recipe: dict[str, Any] | None = None
