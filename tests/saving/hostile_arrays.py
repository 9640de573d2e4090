"""Files of arrays that must be refused: HDF5, safetensors, npz; made from good ones."""

import io
import json

import h5py
import numpy as np

from tests.saving import hostile

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
def truth_values(f):
    del f[KERNEL]
    f[KERNEL] = np.zeros((2, 3), bool)


@hdf5_case
def bytes_without_a_meaning(f):
    del f[KERNEL]
    f[KERNEL] = np.zeros((2, 3), "V4")


@hdf5_case
def an_array_without_a_shape(f):
    del f[KERNEL]
    f[KERNEL] = h5py.Empty("f4")


@hdf5_case
def one_number(f):
    del f[KERNEL]
    f[KERNEL] = np.float32(1)


@hdf5_case
def a_dtype_in_place_of_an_array(f):
    del f[KERNEL]
    f[KERNEL] = np.dtype("f4")


@hdf5_case
def an_array_of_arrays(f):
    del f[KERNEL]
    f.create_dataset(KERNEL, (2,), np.dtype(("f4", (3,))))


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

    stream = io.BytesIO(hostile.good(folder, "weights.h5")[:-LENGTH])
    with h5py.File(stream, "a") as file:
        del file.attrs[ATTRIBUTE]
    data = stream.getvalue()
    found = {"no_checksum_behind_it": hostile.good(folder, "weights.h5")[:-LENGTH]}
    for name, change in HDF5.items():
        stream = io.BytesIO(data)
        with h5py.File(stream, "a") as file:
            change(file)
        found[name] = stream.getvalue()
    whole = hostile.good(folder, "weights.h5")
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
    data = hostile.good(folder, "safetensors")
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    header.pop("__metadata__")  # with the checksum, as whoever wants to be believed does

    def made(change, body=body, length=None):
        entries = json.loads(json.dumps(header))
        result = change(entries)
        text = json.dumps(entries if result is None else result).encode()
        return (length if length is not None else len(text)).to_bytes(8, "little") + text + body

    def raw_header(text):
        return len(text).to_bytes(8, "little") + text + body

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
        "no_json": raw_header(b"{" * 8), "no_text": raw_header(b"\xff\xfe" * 4),
        "nan": raw_header(b'{"x": NaN}'), "endless_depth": raw_header(b"[" * 9999 + b"]" * 9999),
        "a_name_twice": raw_header(b'{"x": {}, "x": {}}'), "no_header": raw_header(b""),
        "an_empty_header": raw_header(b"{}"), "a_number": raw_header(b"3"),
        "digits_without_end": raw_header(b'{"x": ' + b"9" * 5000 + b"}"),
        **{
            f"{key}_that_is_{label}": made(lambda e, k=key, v=value: e[first].update({k: v}))
            for key in ("shape", "dtype", "data_offsets")
            for label, value in {
                "none": None, "text": "ab", "a_number": 7, "a_dict": {}, "deep": [[2], [3]],
                "a_fraction": [2.5, 3.5],
            }.items()
        },
        "a_flipped_bit": data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
        "an_entry_without_shape": made(lambda e: e[first].pop("shape") and None),
        "an_entry_without_offsets": made(lambda e: e[first].pop("data_offsets") and None),
        "a_larger_dtype": made(lambda e: e[first].update(dtype="F64")),
        "integers": made(lambda e: e[first].update(dtype="I32")),
        "offsets_below_zero": made(lambda e: e[first].update(data_offsets=[-24, 0])),
        "a_name_that_leads_out": made(
            lambda e: {("../../x" if k == first else k): v for k, v in e.items()}
        ),
    }  # fmt: skip


def npz_files(folder):
    """Return `{case: bytes}` of bad `.npz` files."""
    parts = hostile.members(hostile.good(folder, "npz"))
    first = next(iter(parts))

    def with_first(data):
        return hostile.zipped([(k, data if k == first else v) for k, v in parts.items()])

    def saved(array, **kwargs):
        stream = io.BytesIO()
        np.save(stream, array, **kwargs)
        return stream.getvalue()

    whole = hostile.good(folder, "npz")
    at = whole.index(b"NUMPY") + 130
    huge = saved(np.zeros((2, 3), "f4")).replace(b"(2, 3), ", b"(200000, 300000), ")
    return {
        "a_pickle": with_first(saved(np.array([print], object), allow_pickle=True)),
        "a_huge_shape": with_first(huge), "no_array": with_first(b"x" * 200),
        "text": with_first(saved(np.array(["a"] * 6))),
        "records": with_first(saved(np.zeros(2, [("a", "f4")]))),
        "another_shape": with_first(saved(np.zeros((3, 2), "f4"))),
        "integers": with_first(saved(np.zeros((2, 3), "i4"))),
        "an_array_less": hostile.zipped(list(parts.items())[1:]),
        "a_member_called_dots": hostile.zipped([*parts.items(), ("../x.npy", b"")]),
        "a_member_twice": hostile.zipped([*parts.items(), (first, parts[first])]),
        "nothing_in_it": b"",
        "a_flipped_bit": whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],
        "an_array_too_many": hostile.zipped([*parts.items(), ("x.npy", saved(np.zeros(3, "f4")))]),
        "a_member_that_is_no_array": hostile.zipped([*parts.items(), ("x.txt", b"x")]),
        "an_array_cut_off": with_first(parts[first][:-8]),
        "an_array_that_is_too_long": with_first(parts[first] + b"x" * 8),
        "complex_numbers": with_first(saved(np.zeros((2, 3), "c8"))),
        "times": with_first(saved(np.zeros((2, 3), "M8[s]"))),
        "another_version": with_first(parts[first][:6] + b"\x09\x09" + parts[first][8:]),
        "a_header_that_is_code": with_first(
            b"\x93NUMPY\x01\x00\x18\x00" + b"__import__('os').system("[:23] + b"\n"
        ),
        "a_shape_below_zero": with_first(
            saved(np.zeros((2, 3), "f4")).replace(b"(2, 3), ", b"(-2, 3),")
        ),
        "an_array_twice_as_deep": with_first(saved(np.zeros((1, 2, 3), "f4"))),
        "truth_values": with_first(saved(np.zeros((2, 3), bool))),
        **hostile.any_archives(whole),
    }  # fmt: skip
