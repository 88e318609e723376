"""Features of small images: which images have none, and what finding them costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from duplicates import features

ROOT = Path(__file__).parents[1]
MAX_FAULTS_PER_IMAGE = 1000  # pages; 4,000 and more if all memory is fetched anew
COUNT_FAULTS = """
import resource
import numpy as np
from duplicates import features
images = np.random.default_rng(0).integers(0, 255, (12, 240, 320, 3), np.uint8)
for image in images[:4]:
    features.find_features(image)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for image in images[4:]:
    features.find_features(image)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 8)
"""


def test_an_image_is_flat_only_if_no_pixel_stands_out() -> None:
    image = np.full((50, 70, 3), 128, np.uint8)
    assert features.is_flat(image)
    for row, column, channel in ((0, 0, 1), (3, 5, 1), (49, 69, 0), (24, 31, 2)):
        marked = image.copy()
        marked[row, column, channel] += features.MIN_CONTRAST_LEVELS
        assert not features.is_flat(marked)
        marked[row, column, channel] -= 1
        assert features.is_flat(marked)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives memory back so soon")
def test_the_memory_of_an_image_is_used_again_for_the_next() -> None:
    command = [sys.executable, "-c", COUNT_FAULTS]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(run.stdout) < MAX_FAULTS_PER_IMAGE
