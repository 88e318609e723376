"""Fetch axe-core, which checks the pages for accessibility. `make axe` runs this; needs npm.

Its license (MPL-2.0) and size keep it out of the repository.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "4.14.1"
SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
AXE = Path(__file__).resolve().parent.parent / ".cache" / f"axe-core-{VERSION}.min.js"


def main() -> int:
    if AXE.exists():
        return 0
    if shutil.which("npm") is None:
        print("npm is missing; install Node.js", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"axe-core@{VERSION}"], cwd=folder, check=True)
        (archive,) = Path(folder).glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if digest != SHA512:
            print(f"axe-core {VERSION} is not what it was: SHA-512 {digest}", file=sys.stderr)
            return 2
        with tarfile.open(archive) as files:
            member = files.extractfile("package/axe.min.js")
            assert member
            AXE.parent.mkdir(exist_ok=True)
            AXE.write_bytes(member.read())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
