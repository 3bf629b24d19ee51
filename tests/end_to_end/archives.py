"""What is in an archive."""

import io
import json
import zipfile
from typing import Any

import cv2
import numpy as np

from tests.clips import read_number


def pictures_in(archive: bytes) -> dict[str, int]:
    """Name and painted number of each picture, in the archive's order."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        assert file.testzip() is None
        files = {name: file.read(name) for name in file.namelist() if not name.startswith("manifest.")}
    return {
        name: read_number(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_4))
        for name, data in files.items()
    }


def manifest_of(archive: bytes) -> dict[str, Any]:
    """The manifest."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return json.loads(file.read("manifest.json"))
