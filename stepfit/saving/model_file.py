"""Whole models in files: `.keras` archives, and the same files unzipped in a folder.

An archive has `metadata.json`, `config.json` (what to build, how it was compiled),
`model.weights.h5` (values by path) and, where layers have them, `assets/` (such as vocabularies).
They are stored as they are, each with zip's CRC-32.
"""

import contextlib
import datetime
import io
import json
import os
import pathlib
import warnings
import zipfile
from typing import Any

import stepfit
from stepfit.core import deferral, deserialization, errors, serialization
from stepfit.core.custom_objects import custom_object_scope
from stepfit.saving import assets, hdf5, integrity, json_config, legacy, sources, state
from stepfit.saving.archive import Archive
from stepfit.saving.building import build, compile_model
from stepfit.saving.file_errors import wrong
from stepfit.saving.hdf5_format import SIGNATURE
from stepfit.saving.paths import inside
from stepfit.utils.atomic import atomic_folder, atomic_write, left_by_exchange

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_SCALED = "optimizer/inner_optimizer/"  # state that a `LossScaleOptimizer` has
KERAS_VERSION = "3.15.1"  # whose files these are


def save_model(model, filepath, overwrite=True, zipped=None, **kwargs):
    """Write a model to a file: what it is made of, its weights, how it was compiled, its state.

    The file takes the place of an older one only once it is complete and on the disk.

    Args:
        model: the model.
        filepath: path that ends in ".keras"; with ``zipped=False`` that of a folder.
        overwrite: whether a file that is there is replaced; False: it is an error.
        zipped: whether one file is written, or a folder; default: one file if the path ends in
            ".keras".

    Raises:
        ValueError: the path, a config that no file can hold, a model without variables yet.

    Example:

    >>> import os, tempfile, stepfit as keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
    >>> keras.saving.save_model(model, path)
    >>> keras.saving.load_model(path).count_params()
    3
    """
    for name in kwargs:
        raise errors.unknown_argument(
            "save(...)", name, ("filepath", "overwrite", "zipped")
        )
    path = os.fspath(filepath)
    ends_so = path.endswith(".keras")
    zipped = ends_so if zipped is None else zipped
    where = f"save(filepath={path!r})"
    if zipped and not ends_so:
        raise errors.bad_value(where, "a path that ends in '.keras'", repr(path))
    if not zipped and ends_so:
        raise errors.bad_value(where, "the path of a folder, with zipped=False", repr(path))
    if not zipped and os.path.splitext(path)[1] in (".h5", ".hdf5"):
        raise errors.bad_value(
            where, "a path that ends in '.keras'", repr(path),
            "stepfit reads Keras 2's HDF5 models, and writes Keras 3's files",
        )  # fmt: skip
    check_free(path, overwrite, where, folder=not zipped)
    check_built(model, where)
    members = contents(model, where)
    if zipped:
        with atomic_write(path) as file:
            write_archive(file, members)
    else:
        with atomic_folder(path) as folder:
            for name, data in members.items():
                target = pathlib.Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)


def check_built(model, where):
    """Refuse a model that lacks variables."""
    if not model.built:
        raise errors.bad_value(where, "a model that is built", *model._what_is_missing())


def check_savable(model, where):
    """Refuse a model of which no file can be made."""
    check_built(model, where)
    with warnings.catch_warnings(), serialization.sharing():
        warnings.simplefilter("ignore")  # they come when it is saved
        _encoded(serialization.serialize(model), where)


def check_free(path, overwrite, where, folder=False):
    """Refuse a path where something is that must not be replaced."""
    if os.path.isdir(path) and not folder:
        raise errors.bad_value(where, "the path of a file", "a folder", "name a file in it")
    if folder and os.path.exists(path):
        names = set(os.listdir(path)) if os.path.isdir(path) else {""}
        others = sorted(names - {CONFIG, METADATA, WEIGHTS, assets.FOLDER})
        if others or (names and CONFIG not in names):  # it would be removed with what is in it
            found = f"one with {others[0]!r} in it" if others and others[0] else "something else"
            raise errors.bad_value(where, "a new folder, or that of a model", found)
    if not overwrite and os.path.exists(path):
        raise errors.bad_value(where, "a new path, with overwrite=False", "one that is there")


def contents(model, where):
    """Return ``{name: bytes}`` of everything that is written for a model."""
    with serialization.sharing():
        config = serialization.serialize(model)
    text = _encoded(config, where)
    now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = {"keras_version": KERAS_VERSION, "date_saved": now, "backend": "jax",
                "stepfit_version": stepfit.__version__}  # fmt: skip
    weights = hdf5.write(state.collect(model))
    return {
        METADATA: json.dumps(metadata).encode(), CONFIG: text.encode(), WEIGHTS: weights,
        **assets.collect(model),
    }  # fmt: skip


def _encoded(config, where):
    """Return a config as JSON; without what was compiled, with a warning, where only that fails."""
    try:
        return json_config.encode(config, where)
    except errors.StepfitError as e:
        if not config.pop("compile_config", None):
            raise
        text = json_config.encode(config, where)
        warnings.warn(f"{errors.NOT_COMPILED} {e}", stacklevel=errors.users_level())
        return text


def write_archive(file, members):
    """Write a zip archive, with nothing compressed: it can be read in place."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, datetime.datetime.now().timetuple()[:6])
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=len(data) > 2**31 - 2**20) as stream:
                stream.write(data)


def load_model(filepath, custom_objects=None, compile=True, safe_mode=True):
    """Return the model that a file describes, with its weights, as it was compiled.

    Nothing in the file is run: it can name stepfit's layers and functions, and those that are
    registered or given here. Shapes are compared before anything is allocated.

    Args:
        filepath: a `.keras` file, an unzipped folder, or an HDF5 model of Keras 2.
        custom_objects: dict from name to class or function, for those not registered.
        compile: whether to compile the model as it was, and load the optimizer's state.
        safe_mode: False runs code that the file holds (lambdas). Only for a file whose writer you
            would let run programs on this machine.

    Raises:
        ValueError: the file is damaged, describes what is not known, or its weights do not fit.
        FileNotFoundError: there is no such file.
    """
    path = os.fspath(filepath)
    place = f"load_model({path!r})"
    _ = stepfit.models, stepfit.layers  # have the built-in classes be known
    with (
        custom_object_scope(custom_objects),
        deserialization.unsafe(not safe_mode),
        opened(path, place) as file,
    ):
        return file.load(compile)


@contextlib.contextmanager
def opened(path, place):
    """Give the reader for what a path leads to."""
    path = left_by_exchange(path)
    if os.path.isdir(path):
        yield ModelFolder(path, place)
        return
    with sources.open_plain(path, place) as stream:
        start = stream.read(8)
        stream.seek(0)
        if start[:4] == b"PK\x03\x04":
            with Archive(stream, place) as archive:
                yield ModelArchive(archive, place)
        elif start == SIGNATURE:
            with sources.mapped(path, place) as data:
                yield legacy.ModelFile(data, place)
        else:
            raise wrong(place, "a zip archive (.keras) or an HDF5 file", "something else")


class ModelFiles:
    """The files of one model: `names` and `read(name, most)`."""

    place: str

    def names(self):
        """Return the names of the files."""
        raise NotImplementedError

    def read(self, name, most=None):
        """Return the bytes of one file."""
        raise NotImplementedError

    def config(self):
        """Return the config, as a dict."""
        data = self.read(CONFIG, json_config.MOST_BYTES)
        return json_config.parse_dict(data, f"{self.place}: {CONFIG}")

    def weights(self):
        """Return the source of values."""
        return sources.HDF5Source(memoryview(self.read(WEIGHTS)), f"{self.place}: {WEIGHTS}")

    def load(self, compile):
        """Return the model."""
        config = self.config()
        compile_config, source = config.pop("compile_config", None), self.weights()
        with deferral.deferring():
            model = build(config, f"{self.place}: {CONFIG}")
            if compile and compile_config:
                compile_model(model, compile_config, f"{self.place}: {CONFIG}")
                if model.compiled:
                    _scale_loss_as_saved(model, source)
            state.load(model, source, made_by_compile=_compiles_itself(model))
        if model.weights and hasattr(model, "_count_as_built"):  # the file has no others
            model._count_as_built()
        assets.load(model, self.names(), self.read, self.place)
        return model


def _compiles_itself(model):
    """Say whether a method of the user's, which was not called, would have made attributes."""
    return getattr(model, "_has_own_compile", False) and not model.compiled


def _scale_loss_as_saved(model, source):
    """Have the optimizer scale losses where it did before, whatever the dtype policy is here."""
    if any(key.startswith(_SCALED) for key in source.entries):
        model._scale_loss()
    elif any(key.startswith("optimizer/") for key in source.entries):
        inner = getattr(model.optimizer, "inner_optimizer", None)
        if inner is not None:
            model.optimizer = inner


class ModelArchive(ModelFiles):
    """A `.keras` file."""

    def __init__(self, archive, place):
        self.archive, self.place = archive, place

    def names(self):
        return self.archive.names()

    def read(self, name, most=None):
        return self.archive.read(name, most)


class ModelFolder(ModelFiles):
    """A model's files in a folder."""

    def __init__(self, folder, place):
        self.folder, self.place = pathlib.Path(folder), place

    def names(self):
        found = []
        for parent, folders, files in os.walk(self.folder):
            own = pathlib.Path(parent).relative_to(self.folder)
            found += [(own / name).as_posix() for name in [*files, *_links(parent, folders)]]
        return found

    def read(self, name, most=None):
        path = inside(self.folder, name, self.place)
        with open(path, "rb") as file:
            length = os.fstat(file.fileno()).st_size
            if most is not None and length > most:
                raise wrong(f"{self.place}: member {name!r}", f"at most {most} bytes", f"{length}")
            return file.read(length)


def _links(parent, folders):
    return [f for f in folders if os.path.islink(os.path.join(parent, f))]


def sealed_weights(model):
    """Return the bytes of a `.weights.h5` file."""
    stream = io.BytesIO()
    groups = [("", {integrity.ATTRIBUTE: "sha-256"}, dict[str, Any]()), *state.collect(model)]
    stream.write(hdf5.write(groups))
    stream.write(integrity.sealed(stream.getbuffer()))
    return stream.getbuffer()
