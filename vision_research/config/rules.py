"""Rules of the config groups that types cannot express."""

from __future__ import annotations

from collections.abc import Iterator

from vision_research.config.addresses import is_s3
from vision_research.config.errors import ConfigError
from vision_research.config.option_rules import option_problems, size_problems
from vision_research.config.schema import (
    DECAY_KEYS,
    WARM_UP_KEYS,
    Device,
    ExportConfig,
    ExportFormat,
    Precision,
    TrainConfig,
)
from vision_research.config.weights import weights_file
from vision_research.config.zoo_entries import recipe_optimizer


def group_problems(config: TrainConfig) -> Iterator[str]:
    """Name every problem of the config groups, with key, value, and what to type."""
    for rule in (_schedule, _intervals, _data, _sizes):
        yield from rule(config)
    yield from export_problems(config.export)
    for rule in (_hardware, _model, _tracking, _storage, option_problems):
        yield from rule(config)


def _positive(key: str, value: float | None, at_least: float = 1) -> Iterator[str]:
    if value is not None and value < at_least:
        yield f"{key}={value}: has to be {at_least} or more"


def _schedule(config: TrainConfig) -> Iterator[str]:
    schedule = config.schedule
    if (schedule.max_epochs is None) == (schedule.max_iters is None):
        yield (
            f"schedule.max_epochs={_null(schedule.max_epochs)} and schedule.max_iters={_null(schedule.max_iters)}: "
            "exactly one of them has to be set. Type schedule.max_epochs=12 schedule.max_iters=null, or the reverse"
        )
    for key in ("max_epochs", "max_iters", "val_interval", "checkpoint_interval", "max_keep_ckpts", "accumulation"):
        yield from _positive(f"schedule.{key}", getattr(schedule, key))
    yield from _positive("schedule.early_stopping", schedule.early_stopping)
    yield from _positive("schedule.base_batch_size", schedule.base_batch_size)
    yield from _positive("schedule.warmup_iters", schedule.warmup_iters, 0)
    if schedule.lr is not None and schedule.lr <= 0:
        yield f"schedule.lr={schedule.lr}: has to be over 0, for example schedule.lr=0.001"
    if schedule.recipe is None:
        missing = [key for key in (*WARM_UP_KEYS, *DECAY_KEYS) if getattr(schedule, key) is None]
        yield from (f"schedule.{key}=null: is allowed only with schedule=zoo/FAMILY/CONFIG" for key in missing)
    milestones = {f"milestones.{place}": share for place, share in enumerate(schedule.milestones or [])}
    for key, share in {"decay_begin": schedule.decay_begin, **milestones}.items():
        if share is not None and not 0 <= share <= 1:
            yield f"schedule.{key}={share}: is a share of the training, between 0 and 1 (0.667 is epoch 8 of 12)"
    recipe = recipe_optimizer(config)["type"]
    if schedule.optimizer not in (None, recipe) and schedule.lr is None:
        yield f"schedule.optimizer={schedule.optimizer}: the recipe's lr is for {recipe}. Type schedule.lr=0.001"
    if "lr" in schedule.optimizer_args:
        yield "schedule.optimizer_args.lr: has a key of its own. Type schedule.lr=0.001"


def _intervals(config: TrainConfig) -> Iterator[str]:
    schedule = config.schedule
    starts = []
    for pair in schedule.dynamic_intervals:
        if len(pair) != 2 or min(pair) < 0 or pair[1] < 1:
            yield (
                f"schedule.dynamic_intervals={schedule.dynamic_intervals}: is a list of [start, interval] pairs. "
                "Type schedule.dynamic_intervals=[[20,1]] to validate every 1 from 20 on"
            )
            return
        starts.append(pair[0])
    if starts != sorted(set(starts)):
        yield f"schedule.dynamic_intervals={schedule.dynamic_intervals}: the starts have to rise. Type [[20,5],[30,1]]"


def _data(config: TrainConfig) -> Iterator[str]:
    data = config.data
    for key in ("batch_size", "val_batch_size", "repeat", "limit_train", "limit_val", "max_pixels"):
        yield from _positive(f"data.{key}", getattr(data, key))
    for key in ("num_workers", "max_bad_images"):
        yield from _positive(f"data.{key}", getattr(data, key), 0)
    if data.flip_prob is not None and not 0 <= data.flip_prob <= 1:
        yield f"data.flip_prob={data.flip_prob}: is a probability, between 0 and 1"
    yield from _positive("aug.final_epochs", config.aug.final_epochs, 0)
    yield from _positive("log_interval", config.log_interval)


def _sizes(config: TrainConfig) -> Iterator[str]:
    size = config.image_size
    # With the pipelines of a zoo file, batches are padded to a multiple.
    letterbox = bool(config.model_recipe.get("letterbox")) and config.aug.recipe is None
    if not isinstance(size, list) or len(size) != 2 or min(size) < 32:
        yield f"image_size={size}: is [height, width] in pixels, 32 or more each. Type image_size=[640,640]"
    elif letterbox and any(side % 32 for side in size):
        near = ",".join(str(round(side / 32) * 32) for side in size)
        kind = config.model["type"]
        yield f"image_size={size}: {kind} takes sides that are multiples of 32. Type image_size=[{near}]"


def export_problems(export: ExportConfig) -> Iterator[str]:
    """Name every problem of the `export` group, with key, value, and what to type."""
    shape, bounds, batch = export.shape, export.bounds, export.batch
    if len(set(export.formats)) < len(export.formats):
        yield f"export.formats={_names(export.formats)}: names one twice"
    if not (shape is None or shape == "dynamic" or _is_size(shape)):
        yield f"export.shape={shape}: is [height, width], dynamic or null. Type export.shape=[640,640]"
    if bounds is not None and not (
        len(bounds) == 2 and all(map(_is_size, bounds)) and all(a <= b for a, b in zip(*bounds, strict=True))
    ):
        yield (
            f"export.bounds={bounds}: is the smallest and the largest [height, width]. "
            "Type export.bounds=[[320,320],[800,1344]]"
        )
    if (bounds is not None) != (shape == "dynamic"):
        yield (
            f"export.shape={_null(shape)} with export.bounds={_null(bounds)}: bounds are those of a dynamic shape. "
            "Type export.shape=dynamic export.bounds=[[320,320],[800,1344]], or neither"
        )
    if not (batch == "dynamic" or (type(batch) is int and batch >= 1)):
        yield f"export.batch={batch}: is a number of images or dynamic. Type export.batch=1"
    if export.fuse and export.formats != [ExportFormat.torchscript]:
        yield (
            f"export.fuse=true with export.formats={_names(export.formats)}: it is of TorchScript; the other runtimes "
            "fuse by themselves. Type export.formats=[torchscript], or export.fuse=false"
        )
    yield from _positive("export.num_images", export.num_images)


def _is_size(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(side) is int and side >= 32 for side in value)


def _names(formats: list[ExportFormat]) -> str:
    return "[" + ",".join(chosen.value for chosen in formats) + "]"


def _hardware(config: TrainConfig) -> Iterator[str]:
    hw = config.hw
    for key in ("num_procs", "num_nodes", "num_threads", "timeout_s"):
        yield from _positive(f"hw.{key}", getattr(hw, key))
    yield from _positive("hw.max_restarts", hw.max_restarts, 0)
    if hw.num_nodes > 1 and not hw.rdzv_endpoint:
        yield f"hw.num_nodes={hw.num_nodes}: the machines have to find each other. Type hw.rdzv_endpoint=HOST:29400"
    if hw.num_nodes > 1 and config.work_dir is None and not isinstance(config.resume, str):
        yield f"hw.num_nodes={hw.num_nodes}: the machines share one folder. Type work_dir=/shared/runs/NAME on each"
    if hw.device is Device.cpu and hw.precision is Precision.fp16:
        yield "hw.precision=fp16 on the CPU: there is no fp16 arithmetic. Type hw.precision=bf16"


def _model(config: TrainConfig) -> Iterator[str]:
    weights = config.model.get("weights")
    try:
        known = weights in ("none", "backbone") or weights_file(config) is not None
    except ConfigError as error:
        yield from error.problems
    else:
        if not known:
            yield (
                f"model.weights={weights}: is none, backbone, coco (MMDetection's own checkpoint), or a checkpoint: "
                "FILE.pth, s3://BUCKET/KEY.pth, https://HOST/FILE.pth or runs:/ID"
            )
    if "type" not in config.model:
        yield "model has no type. Type model=rtmdet_tiny, or model=zoo/FAMILY/CONFIG"
    if isinstance(config.image_size, list) and len(config.image_size) == 2:
        yield from size_problems(config)


def _tracking(config: TrainConfig) -> Iterator[str]:
    yield from _positive("tracking.spool_limit_mb", config.tracking.spool_limit_mb)
    if config.tracking.timeout_s <= 0:
        yield f"tracking.timeout_s={config.tracking.timeout_s}: has to be over 0"
    if not isinstance(config.resume, (bool, str)):
        yield f"resume={config.resume}: is true, false or a work_dir. Type resume=true"


def _storage(config: TrainConfig) -> Iterator[str]:
    storage = config.storage
    yield from _positive("storage.prefetch", storage.prefetch, 0)
    for key in ("cache_size_gb", "give_up_after_s"):
        if (value := getattr(storage, key)) <= 0:
            yield f"storage.{key}={value}: has to be over 0"
    if storage.endpoint_url is not None and not storage.endpoint_url.startswith(("http://", "https://")):
        yield f"storage.endpoint_url={storage.endpoint_url}: is an address. Type storage.endpoint_url=https://HOST:PORT"
    if storage.checkpoints is not None and not is_s3(storage.checkpoints):
        yield f"storage.checkpoints={storage.checkpoints}: is a folder in S3. Type storage.checkpoints=s3://BUCKET/runs"
    if is_s3(storage.runs):
        yield f"storage.runs={storage.runs}: is a folder of this machine. Type storage.checkpoints={storage.runs}"
    if storage.checkpoints is not None and is_s3(config.work_dir):
        yield f"storage.checkpoints={storage.checkpoints} with work_dir={config.work_dir}: two copies. Type one of them"
    if config.data.kind.is_embedded and is_s3(config.data.root):
        yield f"data.root={config.data.root}: the digits are made on this machine. Type data.root=FOLDER"


def _null(value: object) -> str:
    return "null" if value is None else str(value)
