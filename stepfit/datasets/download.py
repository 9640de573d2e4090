"""Where the files of the data sets come from and where they are kept."""

import os
import pathlib

from stepfit.core import config
from stepfit.utils import archives
from stepfit.utils.get_file import fetch

GOOGLE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
TORONTO = "https://www.cs.toronto.edu/~kriz"
_HINT = "stepfit.datasets.digits comes with the package and needs no network."


def dataset_file(name, file_hash, base, remote=None, subdir=""):
    """Return the path of a data set's file, downloading it if needed.

    Args:
        name: file name in the cache, or an absolute path.
        file_hash: sha256 or md5.
        base: URL of the folder it is in; the environment variable `STEPFIT_DATASETS_URL`
            replaces it (a mirror).
        remote: its name there, by default that of `name`.
        subdir: folder below ``$STEPFIT_HOME/datasets``.
    """
    return _obtain(name, file_hash, base, remote, subdir)[0]


def dataset_folder(name, file_hash, base):
    """Return the folder with the extracted files of a tar archive, downloading it if needed."""
    archive, is_new = _obtain(name, file_hash, base, None, "")
    folder = archive.with_name(name.split(".")[0] + "_extracted")
    if is_new or not folder.is_dir():
        archives.extract(archive, folder, "tar")
    return folder


def _obtain(name, file_hash, base, remote, subdir):
    base = os.environ.get("STEPFIT_DATASETS_URL") or base
    target = config.home() / "datasets" / subdir / pathlib.Path(name).expanduser()
    origin = f"{base.rstrip('/')}/{remote or target.name}"
    return target, fetch(origin, target, file_hash, hint=_HINT)
