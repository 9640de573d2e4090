"""`make hostile`: every entry point of the loader x every bad file; prints a table.

Each attempt has to raise a clear error, and nothing else may happen: no module imported, no file
opened beside the bad one, none written, nothing fetched or run, little memory used, and a model
that weights were meant for is as it was.
"""

import json
import os
import shutil
import sys
import tempfile
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import h5py
import numpy as np

import stepfit as keras
from stepfit.core import errors
from stepfit.saving.file_errors import FileError
from tests.saving import hostile, hostile_arrays

MOST_MEMORY = 200 * 2**20  # of arrays in Python, while a bad file is refused
MAPS = {
    "another_folder": {"/layers/dense/vars": "../x.weights.h5"},
    "absolute": {"/layers/dense/vars": "/etc/passwd"}, "no_h5": {"/layers/dense/vars": "x.txt"},
    "missing": {"/layers/dense/vars": "none.weights.h5"}, "a_number": {"/layers/dense/vars": 3},
    "a_list_in_a_list": {"/layers/dense/vars": [["x.weights.h5"]]}, "a_list": [], "empty": {},
    "a_link": {"/layers/dense/vars": "link.weights.h5"},
}  # fmt: skip


class Entry(NamedTuple):
    """A way into the loader: for which files, where they are put, and who reads them."""

    name: str
    family: str
    put: Callable
    read: Callable
    but: tuple = ()  # cases that are none here


def keras_file(folder, **changed):
    parts = hostile.members(hostile.good(folder, "keras"))
    return hostile.zipped(list({**parts, **changed}.items()))


def in_archive(member):
    def put(folder, data):
        return hostile.written(folder, "bad.keras", keras_file(folder, **{member: data}))

    return put


def in_folder(member):
    def put(folder, data):
        unpacked = os.path.join(folder, "unpacked")
        with zipfile.ZipFile(in_archive(member)(folder, data)) as archive:
            archive.extractall(unpacked)
        return unpacked

    return put


def in_keras_two(folder, data):
    path = os.path.join(folder, "bad.h5")
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = data.decode("utf-8", "surrogateescape")
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = ["d", "e"]
        for name, shape in {"d": (2, 3), "e": (3, 1)}.items():
            group.create_group(name).attrs["weight_names"] = ["kernel", "bias"]
            group[f"{name}/kernel"] = np.zeros(shape, "f4")
            group[f"{name}/bias"] = np.zeros(shape[1:], "f4")
    return path


def as_file(name):
    return lambda folder, data: hostile.written(folder, name, data)


def in_map(folder, data):
    hostile.written(folder, "part.weights.h5", data)
    groups = {f"/layers/{name}/vars": "part.weights.h5" for name in ("dense", "dense_1")}
    return as_map(folder, json.dumps({"metadata": {}, "weight_map": groups}).encode())


def as_map(folder, data):
    link = os.path.join(folder, "link.weights.h5")
    if not os.path.lexists(link):
        os.symlink("/etc/passwd", link)
    return hostile.written(folder, "bad.weights.json", data)


def exported(folder):
    """The files of a good exported program."""
    if not _exported:
        path = os.path.join(folder, "good.exported")
        hostile.model().export(path)
        with open(path, "rb") as file:
            _exported.update(hostile.members(file.read()))
        os.remove(path)
    return _exported


_exported: dict = {}


def in_exported(member):
    def put(folder, data):
        parts = {**exported(folder), member: data}
        return hostile.written(folder, "bad.exported", hostile.zipped(list(parts.items())))

    return put


def programs(folder):
    """Return `{case: bytes}` of what is no program."""
    data = exported(folder)["program.bin"]
    return {"nothing_in_it": b"", "cut_off": data[:-40], "no_program": b"x" * 500,
            "a_few_bytes": data[:8]}  # fmt: skip


def descriptions(folder):
    """Return `{case: bytes}` of bad metadata of an exported program."""
    good = json.loads(exported(folder)["metadata.json"])
    changes = {
        "no_names": {"inputs": good["inputs"]}, "no_inputs": {"names": good["names"]},
        "inputs_that_are_a_number": {**good, "inputs": 3}, "one_part": {**good, "inputs": [[3]]},
        "names_that_are_a_number": {**good, "names": 3}, "no_input": {**good, "inputs": []},
        "a_shape_that_is_text": {**good, "inputs": [["ab", "float32"]]},
        "a_dtype_that_is_none": {**good, "inputs": [[[None, 2], "x"]]},
        "names_too_many": {**good, "names": ["a", "b"]},
        "a_name_that_is_a_list": {**good, "names": [[]]},
    }  # fmt: skip
    return {**hostile.RAW, **{name: json.dumps(found).encode() for name, found in changes.items()}}


def as_text(folder, data):
    return data.decode("utf-8", "surrogateescape")


def as_dict(folder, data):
    return json.loads(data)


def load_model(path, model):
    keras.saving.load_model(path)


def load_weights(path, model):
    model.load_weights(path)


def deserialized(config, model):
    found = keras.saving.deserialize_keras_object(config)
    if not isinstance(found, keras.Model):  # it is for whoever asked to look
        raise FileError("config: expected a model, found something else.")


def from_config(config, model):
    keras.Sequential.from_config(config["config"])


def load_exported(path, model):
    keras.saving.load_exported(path)


NO_JSON = tuple(hostile.RAW)
# A layer that is only described costs nothing; and text that is no text cannot be handed over.
DESCRIBED = ("a_huge_layer", "bytes_that_are_no_text")
OTHER_ROOTS = tuple(
    name for name, data in hostile.configs().items()
    if name not in NO_JSON and "layers" not in json.loads(data)["config"]
)  # fmt: skip
ENTRIES = [
    Entry("load_model .keras", "config", in_archive("config.json"), load_model),
    Entry("load_model folder", "config", in_folder("config.json"), load_model),
    Entry("load_model .h5 (Keras 2)", "config", in_keras_two, load_model,
          ("bytes_that_are_no_text",)),
    Entry("model_from_json", "config", as_text, lambda text, m: keras.models.model_from_json(text),
          DESCRIBED),
    Entry("deserialize_keras_object", "config", as_dict, deserialized, (*NO_JSON, "a_huge_layer")),
    Entry("Sequential.from_config", "config", as_dict, from_config,
          (*NO_JSON, "a_huge_layer", *OTHER_ROOTS)),
    Entry("load_model .keras", "archive", as_file("bad.keras"), load_model),
    Entry("load_weights .keras", "archive", as_file("bad.keras"), load_weights,
          ("no_config", "a_bomb_as_config")),
    Entry("load_exported", "archive", as_file("bad.keras"), load_exported),
    Entry("load_weights .weights.h5", "HDF5", as_file("bad.weights.h5"), load_weights),
    Entry("load_weights .keras", "HDF5", in_archive("model.weights.h5"), load_weights),
    Entry("load_weights folder", "HDF5", in_folder("model.weights.h5"), load_weights),
    Entry("load_weights .weights.json", "HDF5", in_map, load_weights, ("a_layer_too_many",)),
    Entry("load_model .keras", "HDF5", in_archive("model.weights.h5"), load_model),
    Entry("load_model folder", "HDF5", in_folder("model.weights.h5"), load_model),
    Entry("load_weights .weights.json", "map", as_map, load_weights),
    Entry("load_weights .safetensors", "safetensors", as_file("bad.safetensors"), load_weights),
    Entry("load_weights .npz", "npz", as_file("bad.npz"), load_weights),
    Entry("load_exported", "safetensors", in_exported("weights.safetensors"), load_exported),
    Entry("load_exported", "metadata", in_exported("metadata.json"), load_exported),
    Entry("load_exported", "program", in_exported("program.bin"), load_exported),
]  # fmt: skip


def families(folder):
    """Return `{family: {case: bytes}}`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile says that a name is there twice
        archives = hostile.archives(folder)
        npz = hostile_arrays.npz_files(folder)
    maps = {c: json.dumps({"metadata": {}, "weight_map": m}).encode() for c, m in MAPS.items()}
    return {
        "config": hostile.configs(), "archive": archives, "HDF5": hostile_arrays.hdf5_files(folder),
        "map": maps, "safetensors": hostile_arrays.tensors_files(folder), "npz": npz,
        "metadata": descriptions(folder), "program": programs(folder),
    }  # fmt: skip


class Watch:
    """Hears of files opened, code run and hosts asked; Python cannot forget it again."""

    BAD = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect",
           "socket.getaddrinfo", "pickle.find_class", "shutil.rmtree", "os.remove")  # fmt: skip

    def __init__(self):
        self.folder, self.heard = None, []
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if self.folder is None:
            return
        if event in self.BAD:
            self.heard.append(event)
        elif event == "open" and isinstance(arguments[0], (str, bytes)):
            path = os.fsdecode(arguments[0])
            if not path.startswith(self.folder) and not path.endswith((".py", ".pyc", ".so")):
                self.heard.append(f"open {path}")


def attempt(entry, data, folder, model, watch=None):
    """Hand a bad file to an entry point; return None where all is well, else what is wrong."""
    given = entry.put(folder, data)
    modules, files, before = set(sys.modules), _listing(folder), model.get_weights()
    tracemalloc.start()
    if watch:
        watch.folder, watch.heard = folder, []
    try:
        entry.read(given, model)
        wrong = "it was loaded"
    except errors.StepfitError as e:
        text = str(e)
        clear = ": expected " in text and ", found " in text and len(text) < 2500
        wrong = None if clear else f"an unclear error: {text[:300]}"
    except Exception as e:
        wrong = f"{type(e).__name__}: {e}"
    finally:
        if watch:
            watch.folder = None
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    own = ("stepfit", "jax", "numpy")
    new = sorted(m for m in set(sys.modules) - modules if m.partition(".")[0] not in own)
    findings = {
        f"{peak / 2**20:.0f} MiB of memory": peak >= MOST_MEMORY,
        f"imported {new}": any(m in ("os.system", "subprocess", "this_is_no_module") for m in new),
        "files were written": _listing(folder) != files,
        f"heard of {watch and watch.heard}": bool(watch and watch.heard),
        "the global config changed": keras.config.floatx() != "float32",
        "the model changed": any(
            not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)
        ),
    }
    wrong = wrong or next((text for text, bad in findings.items() if bad), None)
    if isinstance(given, str) and os.path.isdir(given):
        shutil.rmtree(given)
    return wrong


def _listing(folder):
    return sorted(os.path.join(p, f) for p, _, files in os.walk(folder) for f in files)


def run(entry, cases, folder, model, watch=None):
    """Try one entry point; return ``(attempts, [what is wrong])``."""
    tried = {name: data for name, data in cases.items() if name not in entry.but}
    found = {name: attempt(entry, data, folder, model, watch) for name, data in tried.items()}
    return len(tried), [f"{name}: {wrong}" for name, wrong in found.items() if wrong]


def main():
    """Print the table; exits 1 where a bad file is not refused."""
    watch, total, passes = Watch(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        model, cases = hostile.model(), families(folder)
        path = hostile.written(folder, "good.keras", hostile.good(folder, "keras"))
        keras.saving.load_model(path)  # whatever is imported late is there now
        print(f"{'entry point':28} {'files':12} cases  refused  passes")
        for entry in ENTRIES:
            count, wrong = run(entry, cases[entry.family], folder, model, watch)
            total, passes = total + count, passes + len(wrong)
            print(
                f"{entry.name:28} {entry.family:12} {count:5}  {count - len(wrong):7}  {len(wrong)}"
            )
            for text in wrong:
                print(f"    {text}")
    kinds = sum(len(found) for found in cases.values())
    print(f"{kinds} cases, {len(ENTRIES)} entry points: {total} attempts, {passes} passes")
    sys.exit(passes > 0)


if __name__ == "__main__":
    main()
