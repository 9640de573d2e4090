"""Files that must be refused, one function for each way to be bad, for each kind of file.

A case takes a folder and returns the path of a bad file, made from a good one of a small model.
"""

import io
import json
import os
import struct
import zipfile

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
def words_of_endless_length(c):
    dense(c).update(class_name="TextVectorization", config={"ngrams": 10**12})


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


@config_case
def a_class_without_a_module(c):
    dense(c).update(module=None, class_name="Popen", registered_name="Popen", config={"args": "x"})


@config_case
def a_registered_name_that_nobody_registered(c):
    dense(c).update(registered_name="other>Dense", class_name="Other")


@config_case
def a_class_name_that_is_a_list(c):
    dense(c)["class_name"] = ["Dense"]


@config_case
def a_module_that_is_a_number(c):
    dense(c).update(module=3, class_name="Unknown")


@config_case
def a_callback_as_layer(c):
    dense(c).update(module="keras.callbacks", class_name="ModelCheckpoint",
                    config={"filepath": "x.keras"})  # fmt: skip


@config_case
def the_loader_itself_as_layer(c):
    dense(c).update(module="keras.saving", class_name="load_model", config={"filepath": "x"})


@config_case
def a_tensorflow_program(c):
    dense(c).update(class_name="TFSMLayer", config={"filepath": "http://localhost/x"})


@config_case
def a_pickled_torch_module(c):
    dense(c).update(class_name="TorchModuleWrapper", config={"module": "gASV"})


@config_case
def a_file_as_vocabulary_of_integers(c):
    dense(c).update(class_name="IntegerLookup", config={"vocabulary": "/etc/passwd"})


@config_case
def a_file_as_vocabulary_of_texts(c):
    dense(c).update(class_name="TextVectorization", config={"vocabulary": "/etc/passwd"})


@config_case
def a_lambda_as_initializer(c):
    dense(c)["config"]["kernel_initializer"] = {
        "class_name": "__lambda__", "config": {"value": "4w=="}
    }  # fmt: skip


@config_case
def an_import_as_activation(c):
    dense(c)["config"]["activation"] = {
        "module": "builtins", "class_name": "function", "config": "__import__",
        "registered_name": "function",
    }  # fmt: skip


@config_case
def a_policy_of_another_module(c):
    dense(c)["config"]["dtype"] = {
        "module": "os", "class_name": "system", "config": {"name": "x"}, "registered_name": None
    }  # fmt: skip


@config_case
def a_shape_below_zero(c):
    c["config"]["layers"][0]["config"]["batch_shape"] = [None, -2]


@config_case
def a_shape_that_is_text(c):
    c["config"]["layers"][0]["config"]["batch_shape"] = "ab"


@config_case
def a_name_that_is_a_number(c):
    dense(c)["config"]["name"] = 3


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
    found = any_archives(data, "assets/")
    found["a_bomb_as_config"] = zipped(
        [("config.json", b" " * 2**26), parts[0], parts[2]], zipfile.ZIP_DEFLATED
    )
    found["no_weights"] = zipped(small)
    found["no_config"] = zipped([p for p in parts if p[0] != "config.json"])
    middle = data.index(b"\x89HDF") + 5000
    found["a_flipped_bit"] = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    return found


def any_archives(data, folder=""):
    """Return `{case: bytes}`: a zip archive, made bad in ways that do not depend on what it holds.

    Args:
        data: a good archive. folder: where members may stand.
    """
    parts = list(members(data).items())
    found = {
        f"a_member_called_{label}": zipped([*parts, (name, b"x")])
        for label, name in {
            "dots": "../x", "dots_inside": f"{folder}a/../../x", "absolute": "/tmp/x",
            "drive": "C:/x", "backslash": f"{folder}a\\x", "control": f"{folder}\x01",
            "empty_part": f"{folder}a//x", "long": "a" * 5000, "deep": "/".join("a" * 100),
        }.items()
    }  # fmt: skip
    found["a_member_twice"] = zipped([*parts, parts[1]])
    other = parts[1][0].swapcase()
    found["a_member_twice_but_for_case"] = zipped([*parts, (other, b"{}")])
    name = f"{folder}x"
    found["a_symbolic_link"] = zipped([*parts, (name, b"/etc/passwd")], modes={name: 0o120777})
    found["a_bomb"] = zipped([*parts, (name, b"\0" * 2**26)], zipfile.ZIP_DEFLATED)
    found["cut_off"] = data[: len(data) // 2]
    found["no_archive"] = b"PK\x03\x04" + b"x" * 100
    found["an_archive_of_nothing"] = zipped([])
    found["a_directory_that_is_cut_off"] = data[:-30]
    encrypted = bytearray(data)
    encrypted[encrypted.rindex(b"PK\x01\x02") + 8] |= 1
    found["encrypted"] = bytes(encrypted)
    method = bytearray(data)
    method[method.rindex(b"PK\x01\x02") + 10] = 14
    found["another_compression"] = bytes(method)
    liar = bytearray(data)
    at = liar.rindex(b"PK\x01\x02")
    liar[at + 24 : at + 28] = struct.pack("<I", 2**31)
    found["a_size_that_is_not_true"] = bytes(liar)
    where = bytearray(data)
    at = where.rindex(b"PK\x01\x02")
    where[at + 42 : at + 46] = struct.pack("<I", 2**31)
    found["a_place_beyond_the_file"] = bytes(where)
    checksum = bytearray(data)
    checksum[checksum.rindex(b"PK\x01\x02") + 16] ^= 1
    found["a_checksum_that_is_not_true"] = bytes(checksum)
    return found
