"""Files that must be refused, one function for each way to be bad, for each kind of file.

A case takes a folder and returns the path of a bad file, made from a good one of a small model.
"""

import io
import json
import os
import struct
import zipfile

import h5py
import numpy as np

import stepfit as keras

HEAD = {"module": "keras.layers", "class_name": "Dense", "registered_name": None}


def model():
    return keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3, name="d"), keras.layers.Dense(1, name="e")],
        name="m",
    )


_good: dict[str, bytes] = {}


def good(folder, name):
    """The bytes of a good file, by its ending."""
    if name not in _good:
        path = os.path.join(folder, f"good.{name}")
        if name == "keras":
            model().save(path)
        else:
            model().save_weights(path)
        with open(path, "rb") as file:
            _good[name] = file.read()
        os.remove(path)
    return _good[name]


def written(folder, name, data):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


# -- configs -----------------------------------------------------------------------------

CONFIGS = {}


def config_case(change):
    CONFIGS[change.__name__] = change
    return change


def dense(config):
    return config["config"]["layers"][1]


@config_case
def a_function_of_another_module(c):
    dense(c).update(module="os", class_name="system", config={"command": "x"})


@config_case
def a_class_of_another_package(c):
    dense(c).update(module="subprocess", class_name="Popen", config={"args": ["x"]})


@config_case
def a_module_that_is_not_loaded(c):
    dense(c).update(module="this_is_no_module", class_name="Thing")


@config_case
def a_function_of_the_package_that_is_no_layer(c):
    dense(c).update(module="keras.utils", class_name="get_file", config={"origin": "x"})


@config_case
def a_function_entry_with_a_module(c):
    dense(c)["config"]["activation"] = {
        "module": "os", "class_name": "function", "config": "system", "registered_name": "system"
    }  # fmt: skip


@config_case
def a_builtin_function(c):
    dense(c)["config"]["activation"] = {
        "module": "builtins", "class_name": "function", "config": "eval", "registered_name": "eval"
    }  # fmt: skip


@config_case
def an_activation_by_a_wrong_name(c):
    dense(c)["config"]["activation"] = "os.system"


@config_case
def an_optimizer_as_activation(c):
    dense(c)["config"]["activation"] = {
        "module": "keras.optimizers", "class_name": "SGD", "config": {}, "registered_name": None
    }  # fmt: skip


@config_case
def a_layer_as_initializer(c):
    dense(c)["config"]["kernel_initializer"] = {**HEAD, "config": {"units": 1}}


@config_case
def an_initializer_as_layer(c):
    dense(c).update(module="keras.initializers", class_name="Zeros", config={})


@config_case
def a_loss_as_regularizer(c):
    dense(c)["config"]["kernel_regularizer"] = {
        "module": "keras.losses", "class_name": "MeanSquaredError", "config": {},
        "registered_name": None,
    }  # fmt: skip


@config_case
def a_lambda(c):
    dense(c)["config"]["activation"] = {"class_name": "__lambda__", "config": {"value": "4w=="}}


@config_case
def a_lambda_layer(c):
    code = {"class_name": "__lambda__", "config": {"value": ["4w==", None, None]}}
    dense(c).update(class_name="Lambda", config={"function": code})


@config_case
def a_lambda_layer_of_keras_two(c):
    dense(c).update(class_name="Lambda", config={"function": ["4w==", None, None],
                                                 "function_type": "lambda"})  # fmt: skip


@config_case
def a_type_spec(c):
    dense(c)["config"]["dtype"] = {
        "class_name": "__typespec__", "spec_name": "x", "module": "os", "config": [],
        "registered_name": None,
    }  # fmt: skip


@config_case
def a_dtype_that_is_none(c):
    dense(c)["config"]["dtype"] = "float999"


@config_case
def an_argument_that_there_is_not(c):
    dense(c)["config"]["unitz"] = 3


@config_case
def a_layer_name_with_a_separator(c):
    dense(c)["config"]["name"] = "../../x"


@config_case
def a_huge_layer(c):
    dense(c)["config"]["units"] = 10**9


@config_case
def negative_units(c):
    dense(c)["config"]["units"] = -3


@config_case
def units_that_are_text(c):
    dense(c)["config"]["units"] = "3"


@config_case
def units_that_are_a_layer(c):
    dense(c)["config"]["units"] = {**HEAD, "config": {"units": 1}}


@config_case
def a_config_that_is_a_list(c):
    dense(c)["config"] = [1, 2]


@config_case
def layers_that_are_none(c):
    c["config"]["layers"] = [None, 3]


@config_case
def an_array_of_objects(c):
    dense(c)["config"]["units"] = {
        "class_name": "__numpy__", "config": {"value": ["a"], "dtype": "object"}
    }  # fmt: skip


@config_case
def a_file_as_vocabulary(c):
    dense(c).update(class_name="StringLookup", config={"vocabulary": "/etc/passwd"})


@config_case
def a_root_that_is_an_optimizer(c):
    c.update(module="keras.optimizers", class_name="SGD", config={})


@config_case
def endless_depth(c):
    inner = dense(c)
    for _ in range(90):
        inner = {"module": "keras.layers", "class_name": "TimeDistributed",
                 "config": {"layer": inner}, "registered_name": None}  # fmt: skip
    c["config"]["layers"][1] = inner


def raw(text):
    """A config that is no JSON of a model, as bytes."""
    return lambda: text


RAW = {
    "no_json": b"{", "json_that_is_a_list": b"[]", "json_too_deep": b"[" * 10_000 + b"]" * 10_000,
    "nan": b'{"class_name": NaN, "config": {}}', "infinity": b'{"config": -Infinity}',
    "a_number_too_large": b'{"config": 1e999}', "a_key_twice": b'{"config": {}, "config": {}}',
    "bytes_that_are_no_text": b"\xff\xfe\x00", "nothing": b"",
    "digits_without_end": b'{"config": ' + b"9" * 5000 + b"}",
}  # fmt: skip


def configs():
    """Return `{case: JSON bytes}`."""
    found = dict(RAW)
    text = json.dumps(json.loads(model().to_json()))
    for name, change in CONFIGS.items():
        config = json.loads(text)
        change(config)
        found[name] = json.dumps(config).encode()
    return found


# -- archives -----------------------------------------------------------------------------


def members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def zipped(parts, compression=zipfile.ZIP_STORED, modes=None):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in parts:
            info = zipfile.ZipInfo(name)
            info.filename = name  # ZipInfo itself would mend some
            info.compress_type = compression
            if modes and name in modes:
                info.external_attr = modes[name] << 16
            archive.writestr(info, data)
    return stream.getvalue()


def archives(folder):
    """Return `{case: bytes}` of bad `.keras` files."""
    data = good(folder, "keras")
    parts = list(members(data).items())
    small = [p for p in parts if p[0] != "model.weights.h5"]
    found = {
        f"a_member_called_{label}": zipped([*parts, (name, b"x")])
        for label, name in {
            "dots": "../x", "dots_inside": "assets/../../x", "absolute": "/tmp/x",
            "drive": "C:/x", "backslash": "assets\\x", "control": "assets/\x01",
            "empty_part": "assets//x", "long": "a" * 5000, "deep": "/".join("a" * 100),
        }.items()
    }  # fmt: skip
    found["a_member_twice"] = zipped([*parts, parts[1]])
    found["a_member_twice_but_for_case"] = zipped([*parts, ("CONFIG.JSON", b"{}")])
    link = zipped([*parts, ("assets/x", b"/etc/passwd")], modes={"assets/x": 0o120777})
    found["a_symbolic_link"] = link
    bomb = zipped([*small, ("assets/x", b"\0" * 2**26)], zipfile.ZIP_DEFLATED)
    found["a_bomb"] = bomb
    found["a_bomb_as_config"] = zipped(
        [("config.json", b" " * 2**26), parts[0], parts[2]], zipfile.ZIP_DEFLATED
    )
    found["no_weights"] = zipped(small)
    found["no_config"] = zipped([p for p in parts if p[0] != "config.json"])
    found["cut_off"] = data[: len(data) // 2]
    found["no_archive"] = b"PK\x03\x04" + b"x" * 100
    middle = data.index(b"\x89HDF") + 5000
    found["a_flipped_bit"] = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    encrypted = bytearray(data)
    at = encrypted.rindex(b"PK\x01\x02")
    encrypted[at + 8] |= 1
    found["encrypted"] = bytes(encrypted)
    method = bytearray(data)
    method[method.rindex(b"PK\x01\x02") + 10] = 14
    found["another_compression"] = bytes(method)
    liar = bytearray(data)
    at = liar.rindex(b"PK\x01\x02")
    liar[at + 24 : at + 28] = struct.pack("<I", 2**31)
    found["a_size_that_is_not_true"] = bytes(liar)
    return found


# -- HDF5 -----------------------------------------------------------------------------

KERNEL = "layers/dense/vars/0"
HDF5 = {}


def hdf5_case(change):
    HDF5[change.__name__] = change
    return change


@hdf5_case
def a_soft_link(f):
    del f[KERNEL]
    f[KERNEL] = h5py.SoftLink("/layers/dense_1/vars/0")


@hdf5_case
def a_soft_link_to_a_group(f):
    f.move("layers/dense", "kept")
    f["layers/dense"] = h5py.SoftLink("/kept")


@hdf5_case
def an_external_link(f):
    del f[KERNEL]
    f[KERNEL] = h5py.ExternalLink("/etc/passwd", "/x")


@hdf5_case
def an_external_link_of_a_group(f):
    del f["layers"]
    f["layers"] = h5py.ExternalLink("other.h5", "/layers")


@hdf5_case
def a_link_that_nobody_asked_for(f):
    f["deep/er/x"] = h5py.SoftLink("/nowhere")


@hdf5_case
def a_second_hard_link(f):
    f["layers/again"] = f[KERNEL]


@hdf5_case
def a_group_in_itself(f):
    f["layers/loop"] = f["layers"]


@hdf5_case
def data_in_another_file(f):
    del f[KERNEL]
    f.create_dataset(KERNEL, (2, 3), "f4", external=[("/etc/passwd", 0, 24)])


@hdf5_case
def a_virtual_dataset(f):
    del f[KERNEL]
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(2, 3))
    f.create_virtual_dataset(KERNEL, layout)


@hdf5_case
def another_shape(f):
    del f[KERNEL]
    f[KERNEL] = np.zeros((3, 2), "f4")


@hdf5_case
def a_huge_shape(f):
    del f[KERNEL]
    f.create_dataset(KERNEL, (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip")


@hdf5_case
def a_huge_shape_plain(f):
    del f[KERNEL]
    f.create_dataset(KERNEL, (10**6, 10**6), "f4")


@hdf5_case
def a_bomb_of_zeros(f):
    del f[KERNEL]
    f.create_dataset(KERNEL, data=np.zeros(2**24, "u1"), chunks=(2**24,), compression="gzip",
                     compression_opts=9)  # fmt: skip


@hdf5_case
def text(f):
    del f[KERNEL]
    f[KERNEL] = np.array([b"ab"] * 6).reshape(2, 3)


@hdf5_case
def text_of_any_length(f):
    del f[KERNEL]
    f.create_dataset(KERNEL, data=["a"] * 6, dtype=h5py.string_dtype())


@hdf5_case
def records(f):
    del f[KERNEL]
    f[KERNEL] = np.zeros((2, 3), [("a", "f4"), ("b", "f4")])


@hdf5_case
def references(f):
    del f[KERNEL]
    f.create_dataset(KERNEL, (2, 3), dtype=h5py.ref_dtype)


@hdf5_case
def arrays_of_any_length(f):
    del f[KERNEL]
    f.create_dataset(KERNEL, (2, 3), dtype=h5py.vlen_dtype("f4"))


@hdf5_case
def complex_numbers(f):
    del f[KERNEL]
    f[KERNEL] = np.zeros((2, 3), "c8")


@hdf5_case
def integers(f):
    del f[KERNEL]
    f[KERNEL] = np.zeros((2, 3), "i4")


@hdf5_case
def another_filter(f):
    del f[KERNEL]
    f.create_dataset(KERNEL, data=np.zeros((2, 3), "f4"), chunks=(2, 3), compression="lzf")


@hdf5_case
def a_missing_array(f):
    del f[KERNEL]


@hdf5_case
def a_missing_layer(f):
    del f["layers/dense"]


@hdf5_case
def an_array_too_many(f):
    f["layers/dense/vars/2"] = np.zeros(3, "f4")


@hdf5_case
def a_layer_too_many(f):
    f["layers/dense_2/vars/0"] = np.zeros(3, "f4")


@hdf5_case
def a_group_in_place_of_an_array(f):
    del f[KERNEL]
    f.create_group(KERNEL)


@hdf5_case
def an_array_in_place_of_a_group(f):
    del f["layers/dense"]
    f["layers/dense"] = np.zeros(3)


@hdf5_case
def groups_without_end(f):
    f.create_group("/".join(["g"] * 200))


def hdf5_files(folder):
    """Return `{case: bytes}` of bad weights files, without the checksum behind them."""
    from stepfit.saving.integrity import ATTRIBUTE, LENGTH

    stream = io.BytesIO(good(folder, "weights.h5")[:-LENGTH])
    with h5py.File(stream, "a") as file:
        del file.attrs[ATTRIBUTE]
    data = stream.getvalue()
    found = {"no_checksum_behind_it": good(folder, "weights.h5")[:-LENGTH]}
    for name, change in HDF5.items():
        stream = io.BytesIO(data)
        with h5py.File(stream, "a") as file:
            change(file)
        found[name] = stream.getvalue()
    whole = good(folder, "weights.h5")
    found["cut_off"] = data[: len(data) // 2]
    found["a_header_alone"] = data[:200]
    found["nothing_in_it"] = b""
    found["no_hdf5"] = b"x" * 500
    found["a_flipped_bit"] = whole[:3000] + bytes([whole[3000] ^ 4]) + whole[3001:]
    at = data.index(np.asarray(h5py.File(io.BytesIO(data))[KERNEL]).tobytes())
    found["a_flipped_bit_in_data"] = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
    return found


# -- safetensors and npz -----------------------------------------------------------------------


def tensors_files(folder):
    """Return `{case: bytes}` of bad `.safetensors` files."""
    data = good(folder, "safetensors")
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]

    def made(change, body=body, length=None):
        entries = json.loads(json.dumps(header))
        result = change(entries)
        text = json.dumps(entries if result is None else result).encode()
        return (length if length is not None else len(text)).to_bytes(8, "little") + text + body

    first = next(k for k in header if k != "__metadata__")
    return {
        "a_huge_header": made(lambda e: None, length=2**40),
        "a_header_beyond_the_file": made(lambda e: None, length=len(data)),
        "a_header_that_is_a_list": made(lambda e: []),
        "a_huge_shape": made(lambda e: e[first].update(shape=[10**9, 10**9])),
        "a_negative_size": made(lambda e: e[first].update(shape=[-2, -3])),
        "another_dtype": made(lambda e: e[first].update(dtype="PICKLE")),
        "offsets_that_overlap": made(lambda e: e[first].update(data_offsets=[4, 28])),
        "offsets_beyond": made(lambda e: e[first].update(data_offsets=[0, 2**40])),
        "offsets_that_go_back": made(lambda e: e[first].update(data_offsets=[28, 4])),
        "data_that_nobody_names": made(lambda e: None, body + b"x" * 8),
        "data_that_is_missing": made(lambda e: None, body[:-4]),
        "a_tensor_less": made(lambda e: {k: v for k, v in e.items() if k != first}),
        "another_name": made(lambda e: {("x" if k == first else k): v for k, v in e.items()}),
        "nothing_in_it": b"", "a_few_bytes": b"abc",
        "an_entry_that_is_a_number": made(lambda e: {**e, first: 3}),
    }  # fmt: skip


def npz_files(folder):
    """Return `{case: bytes}` of bad `.npz` files."""
    parts = members(good(folder, "npz"))
    first = next(iter(parts))

    def with_first(data):
        return zipped([(k, data if k == first else v) for k, v in parts.items()])

    def saved(array, **kwargs):
        stream = io.BytesIO()
        np.save(stream, array, **kwargs)
        return stream.getvalue()

    huge = saved(np.zeros((2, 3), "f4")).replace(b"(2, 3), ", b"(200000, 300000), ")
    return {
        "a_pickle": with_first(saved(np.array([print], object), allow_pickle=True)),
        "a_huge_shape": with_first(huge), "no_array": with_first(b"x" * 200),
        "text": with_first(saved(np.array(["a"] * 6))),
        "records": with_first(saved(np.zeros(2, [("a", "f4")]))),
        "another_shape": with_first(saved(np.zeros((3, 2), "f4"))),
        "integers": with_first(saved(np.zeros((2, 3), "i4"))),
        "an_array_less": zipped(list(parts.items())[1:]),
        "a_member_called_dots": zipped([*parts.items(), ("../x.npy", b"")]),
        "a_member_twice": zipped([*parts.items(), (first, parts[first])]),
        "cut_off": good(folder, "npz")[:300], "nothing_in_it": b"",
    }  # fmt: skip
