"""Backups on disk: what was written comes back, and nothing else does."""

import json
import shutil
import subprocess

import ml_dtypes
import numpy as np
import pytest

from stepfit.checkpoint import folders, format, reading, writing

RANDOM = np.random.default_rng(0)
LARGE = RANDOM.random((40, 50)).astype("float32")  # too large to stand beside others
ARRAYS = {
    "weights": [
        ("dense/kernel", LARGE), ("dense/bias", RANDOM.random(3).astype(ml_dtypes.bfloat16)),
        ("same", np.arange(3)), ("same", np.arange(3) * 2),
        ("of no size", np.zeros((0, 4), "int8")),
        ("number", np.asarray(np.uint32(7))), ("odd Name.'ä", np.array([True, False])),
    ],
    "rest": [
        ("other", RANDOM.random((30, 30)).astype("float16")),
        ("small float", np.ones(3, ml_dtypes.float8_e4m3fn)), ("turned", LARGE.T[::2]),
        ("complex", np.array([1 + 2j])), ("not a number", np.array([np.nan, -np.inf, -0.0])),
    ],
}  # fmt: skip
DOCUMENT = {"format": format.FORMAT, "place": {"epoch": 3}, "x": [0.1, float("inf"), None, "ä"]}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "backup-000001"
    writing.write(folder, ARRAYS, DOCUMENT)
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / written.name)


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def test_what_was_written_comes_back(written):
    backup = reading.read(written)
    assert backup.document == DOCUMENT and backup.name == "backup-000001"
    assert backup.parts() == list(ARRAYS)
    for part, pairs in ARRAYS.items():
        for (path, array), (path_back, back) in zip(pairs, backup.part(part), strict=True):
            assert path == path_back
            assert (array.dtype, array.shape) == (back.dtype, back.shape)
            assert array.tobytes() == back.tobytes()


def test_without_any_array(tmp_path):
    writing.write(tmp_path / "backup-000001", {"weights": []}, DOCUMENT)
    assert reading.read(tmp_path / "backup-000001").part("weights") == []


def test_the_manifest_is_one_that_sha256sum_reads(folder):
    command = ["sha256sum", "--check", "--strict", format.MANIFEST]
    checks = lambda: subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert checks().returncode == 0
    (folder / format.STATE).write_text("{}")
    assert "state.json: FAILED" in checks().stdout


def test_other_libraries_can_read_the_arrays(written):
    import orbax.checkpoint as orbax

    tree = orbax.Checkpointer(orbax.PyTreeCheckpointHandler()).restore(written / format.ARRAYS)
    np.testing.assert_array_equal(tree["weights"]["00000.dense_kernel"], LARGE)


def test_a_bit_flipped_in_any_file_is_noticed(folder):
    for path in files(folder):
        data = path.read_bytes()
        for bit in RANDOM.integers(0, 8 * len(data), 8):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(bytes(changed))
            with pytest.raises(reading.Damaged) as caught:
                reading.read(folder)
            name = path.relative_to(folder).as_posix()
            assert f"file {name!r} has other bytes than were written" in str(caught.value)
        path.write_bytes(data)
    reading.read(folder)


def test_a_file_that_is_cut_off_or_missing_is_named(folder):
    for path in files(folder):
        data, name = path.read_bytes(), path.relative_to(folder).as_posix()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(reading.Damaged, match=f"file '{name}' has other bytes"):
            reading.read(folder)
        path.unlink()
        with pytest.raises(reading.Damaged, match=f"file '{name}': missing"):
            reading.read(folder)
        path.write_bytes(data)


def test_the_tensor_that_a_bit_was_flipped_in_is_named(folder):
    data = [p for p in files(folder) if p.parent.name == "d"]
    path = max(data, key=lambda p: p.stat().st_size)
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(bytes(changed))
    with pytest.raises(reading.Damaged) as caught:
        reading.read(folder)
    assert "; tensors changed: 'weights/dense/kernel'" in str(caught.value) or (
        "; tensors changed: 'rest/turned'" in str(caught.value)
    )


def seal(folder):
    (folder / format.MANIFEST).write_text(format.manifest_text(folder))


def test_tensors_have_checksums_of_their_own(folder):
    """Whatever Orbax gives back: it is what was written, or an error."""
    entries = json.loads((folder / format.TENSORS).read_text())
    entries[2]["sha256"] = entries[3]["sha256"]
    (folder / format.TENSORS).write_text(json.dumps(entries))
    seal(folder)  # so that all files are right
    with pytest.raises(reading.Damaged) as caught:
        reading.read(folder)
    assert str(caught.value) == "tensor 'weights/same' has other values than were written"


def test_a_format_of_the_future_is_not_read(folder):
    (folder / format.STATE).write_text(json.dumps({"format": 2}))
    seal(folder)
    with pytest.raises(reading.Damaged, match="state.json has format 2, not 1"):
        reading.read(folder)


def test_the_newest_that_is_intact_is_taken(tmp_path, written):
    for number in (1, 2, 10):
        shutil.copytree(written, tmp_path / f"backup-{number:06d}")
    (tmp_path / "backup-000010" / format.STATE).unlink()
    (tmp_path / "notes").mkdir()
    told: list = []
    found = reading.newest(tmp_path, lambda folder, what: told.append((folder.name, what)))
    assert found.name == "backup-000002"
    assert told == [("backup-000010", "file 'state.json': missing")]
    assert folders.set_aside(tmp_path / "backup-000010") == tmp_path / "damaged-000010"
    assert folders.next_name(tmp_path).name == "backup-000011"  # no number is used twice
    assert reading.newest(tmp_path / "nowhere", told.append) is None


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(format, "manifest_text", lambda folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        writing.write(tmp_path / "backup-000001", ARRAYS, DOCUMENT)
    assert list(tmp_path.iterdir()) == []


def test_old_ones_go_and_foreign_files_stay(tmp_path, written):
    (tmp_path / "notes.txt").write_text("mine")
    for number in range(1, 6):
        shutil.copytree(written, tmp_path / f"backup-{number:06d}")
    (tmp_path / ".backup-000009.part").mkdir()
    folders.prune(tmp_path, 2)
    assert [p.name for p in folders.backups(tmp_path)] == ["backup-000005", "backup-000004"]
    folders.remove_parts(tmp_path)
    assert not (tmp_path / ".backup-000009.part").exists()
    folders.clear(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_files_are_on_the_disk_before_the_manifest_and_that_before_the_name(tmp_path, monkeypatch):
    done: list = []
    sync_file, rename = folders.sync_file, writing.os.rename
    monkeypatch.setattr(folders, "sync_file", lambda p: (done.append(str(p)), sync_file(p)))
    monkeypatch.setattr(writing, "sync_folder", lambda p: done.append(f"folder {p}"))

    def renames(source, target):
        if str(target).endswith("backup-000001"):
            done.append("rename")
        rename(source, target)

    monkeypatch.setattr(writing.os, "rename", renames)
    folder = tmp_path / "backup-000001"
    writing.write(folder, ARRAYS, DOCUMENT)
    part = tmp_path / ".backup-000001.part"
    manifest = done.index(str(part / format.MANIFEST))
    assert set(done[:manifest]) >= {str(part / name) for name in format.files_below(folder)}
    assert done[manifest + 1 :] == [f"folder {part}", "rename", f"folder {tmp_path}"]
