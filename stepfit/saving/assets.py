"""Files that layers keep beside their variables, such as vocabularies: `assets/<path>/...`."""

import contextlib
import os
import pathlib
import tempfile

from stepfit.saving.file_errors import size, wrong
from stepfit.saving.paths import check_member
from stepfit.saving.state_tree import places

FOLDER = "assets"
MOST_BYTES = 2**31


def collect(root):
    """Return ``{name: bytes}`` of the files that the layers below `root` write."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for place in places(root):
            if not hasattr(place.object, "save_assets"):
                continue
            own = pathlib.Path(folder, FOLDER, *place.path.split("/"))
            os.makedirs(own, exist_ok=True)
            place.object.save_assets(str(own))
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def load(root, names, read, place):
    """Have the layers below `root` read their files.

    Args:
        root: a model.
        names: names of all members of the archive, checked.
        read: function from a name to its bytes.
        place: the archive's name, for messages.
    """
    wanted = [p for p in places(root) if hasattr(p.object, "load_assets")]
    if not wanted:
        return
    with unpacked(names, read, place) as folder:
        for item in wanted:
            own = pathlib.Path(folder, FOLDER, *filter(None, item.path.split("/")))
            if own.is_dir():
                item.object.load_assets(str(own))


@contextlib.contextmanager
def unpacked(names, read, place):
    """Give a temporary folder with the assets of an archive, and nothing else."""
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            parts = check_member(name, place)
            if parts[0] != FOLDER or len(parts) < 2:
                continue
            data = read(name)
            total += len(data)
            if total > MOST_BYTES:
                raise wrong(f"{place}: {FOLDER}/", f"at most {size(MOST_BYTES)}", "more")
            target = pathlib.Path(folder, *parts)
            os.makedirs(target.parent, exist_ok=True)
            with open(target, "xb") as file:
                file.write(data)
        yield folder
