#!/usr/bin/env python3
"""Train the embedded model of technical quality from nothing: no photo, no download, one command.

Draws a bank of pictures from random numbers, degrades them in eight ways at known strengths, and
trains a network of 0.45 million weights to tell how much worse each copy is. Writes a folder that
open_clip opens as `local-dir:FOLDER`:

    open_clip_config.json         architecture and preprocessing
    open_clip_model.safetensors   weights, 16-bit
    head.safetensors              weight (1, 192) and bias (1,): score = weight . unit-length
                                  embedding + bias

The same seed gives the same pictures and views, however many processes share the work; the weights
differ a little from one kind of processor to another. Stopped and started again, it goes on from
the last checkpoint in the work folder. Under half an hour on 2 cores. Where they have other work
too, set OMP_WAIT_POLICY=PASSIVE, or the threads spend their time waiting for one another.

Examples:
    python training/train_tiny.py --seed 0 --output common/clip/models/tiny
    python training/train_tiny.py --seed 1 --output /tmp/tiny-seed-1 --device cpu
"""

import argparse
import ctypes
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from pictures import bank
from safetensors.torch import save
from torch import nn
from tqdm import tqdm
from views import KINDS, Step, Steps

SIZE = 160
WIDTH = 192
MODEL = {
    "embed_dim": WIDTH,
    "vision_cfg": {
        "image_size": SIZE,
        "timm_model_name": "test_byobnet",
        "timm_model_pretrained": False,
        "timm_pool": "abs_attn",
        "timm_proj": "",
    },
    # open_clip insists on a text tower; this is the smallest one it builds, and nobody calls it.
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 8, "heads": 1, "layers": 1},
}
MEAN, DEVIATION = 0.5, 0.25
PREPROCESSING = {
    "mean": [MEAN] * 3,
    "std": [DEVIATION] * 3,
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}

PICTURES = 2000
STEPS = 1100
BATCH = 32  # pictures a step; each gives three views
PEAK_RATE, LAST_RATE, WARM_UP = 2e-3, 1e-5, 100
WEIGHT_DECAY = 0.03
# share of the running average of the weights that one step leaves; the average is what is saved
AVERAGED = 0.995
SAVE_EVERY = 100

CLEAN_SCORE, BARELY_WORSE, RUINED = (
    7.5,
    7.0,
    1.5,
)  # the score falls in a line from severity 0 to severity 1
# the head learns weight / SCORE_SCALE: a unit vector of 192 numbers needs large weights for 1 to 10
SCORE_SCALE = 40.0
SEVERITY_SCALE = 15.0


def main() -> int:
    args = parse_args()
    torch.manual_seed(args.seed)
    keep_freed_memory()
    work = args.work or Path("build") / f"tiny-seed-{args.seed}"
    work.mkdir(parents=True, exist_ok=True)
    (work / ".gitignore").write_text(
        "*\n"
    )  # pictures and checkpoints are never part of the repository
    pictures = bank(
        work / f"pictures-{args.pictures}.npy", args.pictures, args.seed, os.cpu_count() or 1
    )
    trainer = Trainer(args.steps, args.device)
    start = trainer.load(work / "checkpoint.pt")
    steps = Steps(pictures, args.seed, BATCH, SIZE)
    for number, step in progress(
        batches(steps, start, args.steps, args.workers), start, args.steps, trainer
    ):
        trainer.learn(number, step)
        if number % SAVE_EVERY == SAVE_EVERY - 1 or number == args.steps - 1:
            trainer.save(work / "checkpoint.pt", number + 1)
    write(args.output, trainer.average.module)
    return 0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write the model to")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--steps", type=int, default=STEPS, help="training steps (default: %(default)s)"
    )
    parser.add_argument(
        "--pictures", type=int, default=PICTURES, help="pictures to draw (default: %(default)s)"
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    workers = max(1, (os.cpu_count() or 1) - 1)
    parser.add_argument(
        "--workers",
        type=int,
        default=workers,
        help="processes that make views (default: %(default)s)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        help="folder for pictures and checkpoint (default: build/tiny-seed-SEED)",
    )
    args = parser.parse_args()
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    return args


def keep_freed_memory() -> None:
    """Have glibc keep what is freed: each step needs the same large blocks again, and fresh ones
    cost a third of it.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        trim_threshold, mmap_max = -1, -4  # names of malloc.h
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(mmap_max, 0)


class Network(nn.Module):
    """The image tower with what it is trained by: a score, and the severity of each kind of
    degradation.
    """

    def __init__(self):
        super().__init__()
        self.visual = CLIP(**MODEL).visual
        trunk_width = self.visual.trunk.num_features
        self.head = nn.Linear(WIDTH, 1)
        nn.init.normal_(self.head.weight, std=0.5 / WIDTH**0.5)
        nn.init.constant_(self.head.bias, 6.0)
        self.severity = nn.Linear(WIDTH, len(KINDS))
        self.trunk_severity = nn.Sequential(
            nn.BatchNorm1d(trunk_width), nn.Linear(trunk_width, len(KINDS))
        )

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scores (n,); severities (n, kinds) as the embedding tells them and as the trunk's mean
        features do.
        """
        features = self.visual.trunk(images)
        embedding = F.normalize(self.visual.head(features), dim=-1)
        scores = F.linear(embedding, SCORE_SCALE * self.head.weight, self.head.bias)[:, 0]
        severities = F.linear(embedding, SEVERITY_SCALE * self.severity.weight, self.severity.bias)
        return scores, severities, self.trunk_severity(features.mean(dim=(2, 3)))


class Trainer:
    def __init__(self, steps: int, device: str):
        self.steps, self.device, self.losses = steps, device, {}
        self.network = Network().to(device, memory_format=torch.channels_last).train()
        self.average = torch.optim.swa_utils.AveragedModel(
            self.network, avg_fn=averaged, use_buffers=True
        )
        matrices = [weight for weight in self.network.parameters() if weight.ndim > 1]
        vectors = [weight for weight in self.network.parameters() if weight.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": WEIGHT_DECAY},
            {"params": vectors, "weight_decay": 0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98))

    def learn(self, number: int, step: Step) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate(number, self.steps)
        images = (
            step.images.to(self.device).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        )
        outputs = self.network((images.float() / 255 - MEAN) / DEVIATION)
        self.losses = losses(*outputs, step.kinds.to(self.device), step.severities.to(self.device))
        self.optimizer.zero_grad()
        sum(self.losses.values()).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.average.update_parameters(self.network)

    def save(self, path: Path, steps_done: int) -> None:
        unfinished = path.with_suffix(".part")
        parts = {
            name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")
        }
        torch.save({"steps_done": steps_done, "steps": self.steps, **parts}, unfinished)
        os.replace(unfinished, path)

    def load(self, path: Path) -> int:
        """Steps done before, 0 where there is no checkpoint of a training of the same length."""
        if not path.exists():
            return 0
        saved = torch.load(path, map_location=self.device, weights_only=True)
        if saved["steps"] != self.steps:
            return 0
        for name in ("network", "average", "optimizer"):
            getattr(self, name).load_state_dict(saved[name])
        return saved["steps_done"]


def averaged(average: torch.Tensor, current: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """The running average after one more step; it forgets the first, poor weights faster."""
    if not current.is_floating_point():  # batch norm's own step counter
        return current
    return average.lerp(current, 1 - min(AVERAGED, (1 + int(count)) / (10 + int(count))))


def rate(number: int, steps: int) -> float:
    """Learning rate of a step: a short rise, then half a cosine down."""
    falling = 0.5 + 0.5 * torch.cos(torch.tensor(torch.pi * number / steps)).item()
    return PEAK_RATE * min(1.0, (number + 1) / WARM_UP) * falling + LAST_RATE


def losses(scores, told, told_by_trunk, kinds, severities) -> dict[str, torch.Tensor]:
    """What is wrong with the answers to one step, already weighted.

    scores (3n,), told and told_by_trunk (3n, kinds): clean views, then milder, then worse ones.
    """
    clean, mild, worse = scores.chunk(3)
    mild_severity, worse_severity = severities
    order = ranked(clean, mild, 0.4 + 4 * mild_severity)
    order = order + ranked(mild, worse, 4 * (worse_severity - mild_severity))

    falls = BARELY_WORSE - RUINED
    wanted = torch.cat(
        [torch.full_like(clean, CLEAN_SCORE), BARELY_WORSE - falls * severities.flatten()]
    )
    level = 3 * F.smooth_l1_loss(scores, wanted)

    one_hot = F.one_hot(kinds, len(KINDS)).float()
    visible = severities[..., None] + 0.15  # even severity 0 is not nothing
    truth = torch.cat([torch.zeros_like(one_hot), *(one_hot * visible)])
    kind = F.mse_loss(told, truth) + F.mse_loss(told_by_trunk, truth)
    return {"order": 0.8 * order, "level": 0.25 * level, "kind": 7 * kind}


def ranked(better: torch.Tensor, worse: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
    """Pairwise logistic loss: small once the better score lies above the worse one by the
    margin.
    """
    return F.softplus(2 * (margin - (better - worse))).mean() / 2


def batches(steps: Steps, start: int, stop: int, workers: int) -> Iterator[tuple[int, Step]]:
    numbers = range(start, stop)
    loader = torch.utils.data.DataLoader(
        steps, batch_size=None, sampler=numbers, num_workers=workers
    )
    return zip(numbers, loader, strict=True)


def progress(numbered, start: int, stop: int, trainer: Trainer):
    with tqdm(desc="training", initial=start, total=stop, unit="step", mininterval=5) as bar:
        for number, step in numbered:
            yield number, step
            bar.update()
            if number % 20 == 0:
                bar.set_postfix(
                    {name: f"{float(loss):.3f}" for name, loss in trainer.losses.items()},
                    refresh=False,
                )


def write(folder: Path, network: Network) -> None:
    """The model in open_clip's local-dir layout, and its head beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = CLIP(**MODEL)
    model.visual.load_state_dict(network.visual.state_dict())
    weights = {
        name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()
    }
    head = {
        "weight": SCORE_SCALE * network.head.weight.detach(),
        "bias": network.head.bias.detach(),
    }
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_model.safetensors").write_bytes(
        save({name: t.contiguous() for name, t in weights.items()})
    )
    (folder / "head.safetensors").write_bytes(
        save({name: t.cpu().contiguous() for name, t in head.items()})
    )
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
