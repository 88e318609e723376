"""The named heads: one row each, with what it needs and what its scores mean.

The one place for these facts: heads are downloaded and checked by them, and demo/scorers_table.py
makes a page of them. To add a head, add a row. If several rows share a name, the first is the
default.
"""

from __future__ import annotations

from dataclasses import dataclass

PHOTOS = "rated photographs and logos, 1 to 10; which scores are high was not published"
MORE = "rated generated images, photographs and logos, 1 to 10; LAION's best subset begins at 6.5"


@dataclass(frozen=True)
class Scorer:
    """A published head, affine in the unit vectors of the model that it was trained on."""

    head: str  # its name, for --head
    model: str  # for --model
    weights: str  # open_clip's tag
    gigabytes: float  # of those weights, text tower included
    pixels: int  # per side, of the model's input
    page: str  # where the head was published
    file: str  # on that page's main branch
    size: int  # of the file, in bytes
    digest: str  # of the file: sha256
    licence: str  # of the head; none is shipped with this project
    means: str  # what it was trained on, the scale, and which scores are high

    @property
    def address(self) -> str:
        return f"{self.page}/raw/main/{self.file}"


def _laion_v1(model: str, gigabytes: float, size: int, digest: str) -> Scorer:
    page = "https://github.com/LAION-AI/aesthetic-predictor"
    file = f"sa_0_4_{model.lower().replace('-', '_')}_linear.pth"
    means = "4,000 rated images, 0 to 10; LAION took images above 7, and above 8 for its art"
    name = f"{model}-quickgelu"
    return Scorer(
        "laion-v1", name, "openai", gigabytes, 224, page, file, size, digest, "MIT", means
    )


def _laion_v2(head: str, data: str, digest: str, means: str) -> Scorer:
    page = "https://github.com/christophschuhmann/improved-aesthetic-predictor"
    file = f"{data}-l14-linearMSE.pth"
    name = "ViT-L-14-quickgelu"
    licence = "Apache-2.0"
    return Scorer(head, name, "openai", 1.71, 224, page, file, 3714759, digest, licence, means)


SCORERS = (
    _laion_v1(
        "ViT-L-14", 1.71, 4071, "2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba"
    ),
    _laion_v1(
        "ViT-B-32", 0.61, 3047, "c7b14cead230694acc7b9447974d3cad78003c72da032e402a303b6c2429e85f"
    ),
    _laion_v1(
        "ViT-B-16", 0.60, 3047, "8ad3923d7ecf019df20ecd2ab5542a3075fbba0278d239c0371345f3d7fcbde0"
    ),
    _laion_v2(
        "laion-v2",
        "sac+logos+ava1",
        "21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0",
        MORE,
    ),
    _laion_v2(
        "laion-v2-ava",
        "ava+logos",
        "390a3aafaf3b37d57148f9b22f30556de38343064b7d915acfa80d3812b4c9ff",
        PHOTOS,
    ),
    Scorer(
        "siglip-v2.5",
        "siglip-v2.5",
        "webli",
        3.51,
        384,
        "https://github.com/discus0434/aesthetic-predictor-v2-5",
        "models/aesthetic_predictor_v2_5.pth",
        2644834,
        "a6caf256b3dc434273c98dcb12f6bf17c5d4fc647d8df11f038386923dd06220",
        "AGPL-3.0",
        "rated images of more kinds, illustrations too, 1 to 10; "
        "its author calls 5.5 and more great",
    ),
)


def scorer_names() -> list[str]:
    """The names that --head accepts, in the order of the rows."""
    return list(dict.fromkeys(row.head for row in SCORERS))


def find_scorers(head: str | None) -> list[Scorer]:
    """The rows with that name, one per model; empty if there is none."""
    return [row for row in SCORERS if row.head == head]
