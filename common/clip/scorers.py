"""The scorers that have a name: a row a head, with what it needs and what its scores mean.

The one place that holds these facts: heads are downloaded and admitted by them, and demo/scorers_table.py makes a page
of them. Another head is another row; of several rows with a head's name the first is the one that it means by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

PHOTOS = "rated photographs and logos, 1 to 10; which scores are high was not published"
MORE = "rated generated pictures, photographs and logos, 1 to 10; LAION's best subset begins at 6.5"


@dataclass(frozen=True)
class Scorer:
    """A published head, affine in the unit vectors of the one model that it was trained on."""

    head: str  # its name, for --head
    model: str  # for --model
    weights: str  # open_clip's tag
    gigabytes: float  # of those weights, text tower included
    pixels: int  # a side, of what the model sees
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
    page, file = "https://github.com/LAION-AI/aesthetic-predictor", model.lower().replace("-", "_")
    means = "4,000 rated pictures, 0 to 10; LAION took pictures above 7, and above 8 for its art"
    name, file = f"{model}-quickgelu", f"sa_0_4_{file}_linear.pth"
    return Scorer(
        "laion-v1", name, "openai", gigabytes, 224, page, file, size, digest, "MIT", means
    )


def _laion_v2(head: str, data: str, digest: str, means: str) -> Scorer:
    page, file = (
        "https://github.com/christophschuhmann/improved-aesthetic-predictor",
        f"{data}-l14-linearMSE.pth",
    )
    name, licence = "ViT-L-14-quickgelu", "Apache-2.0"
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
        "rated pictures of more kinds, illustrations too, 1 to 10; its author calls 5.5 and more great",
    ),
)


def scorer_names() -> list[str]:
    """The names that --head takes, in the order of the rows."""
    return list(dict.fromkeys(row.head for row in SCORERS))


def find_scorer(head: str | None) -> list[Scorer]:
    """The rows of a head's name, one a model; none where that is no name."""
    return [row for row in SCORERS if row.head == head]
