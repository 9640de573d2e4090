"""Downloads: cache, hashes, faults, archives."""

import hashlib
import io
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import zipfile

import pytest

from stepfit.datasets import mnist
from stepfit.utils import atomic, get_file
from stepfit.utils.get_file import fetch

CONTENT = bytes(range(256)) * 4000
SHA = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def files(server):
    server.files["a.bin"] = CONTENT
    return server


def cached(home):
    folder = home / "datasets"
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


HASHES = [
    {},
    {"file_hash": SHA},
    {"file_hash": SHA.upper()},
    {"file_hash": MD5},
    {"md5_hash": MD5},
    {"file_hash": SHA, "hash_algorithm": "sha256"},
    {"file_hash": MD5, "hash_algorithm": "md5"},
]


@pytest.mark.parametrize("kwargs", HASHES, ids=str)
def test_a_file_is_downloaded_once(files, home, kwargs, capsys):
    for _ in range(3):
        path = get_file("b.bin", f"{files.url}/a.bin", **kwargs)
        assert path == str(home / "datasets" / "b.bin")
        assert pathlib.Path(path).read_bytes() == CONTENT
    assert files.requests == ["a.bin"] and cached(home) == ["b.bin"]
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"Downloading {files.url}/a.bin" and out[1].startswith("1024000/1024000 - ")


def test_names_and_folders(files, home, tmp_path):
    origin = f"{files.url}/a.bin?x=1"
    assert get_file(origin=origin) == str(home / "datasets" / "a.bin")
    assert get_file("c", origin, cache_subdir="sub/x") == str(home / "sub" / "x" / "c")
    assert get_file("c", origin, cache_dir=tmp_path / "k") == str(tmp_path / "k/datasets/c")
    assert get_file("c", origin, cache_subdir=str(tmp_path / "z")) == str(tmp_path / "z" / "c")
    assert oct(os.stat(tmp_path / "z" / "c").st_mode & 0o777) == oct(0o666 & ~atomic._umask())


def test_force_download(files):
    for _ in range(2):
        get_file(origin=f"{files.url}/a.bin", force_download=True)
    assert len(files.requests) == 2


def test_a_cached_file_with_a_wrong_hash_is_downloaded_again(files, home, capsys):
    target = home / "datasets" / "a.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT[:1000])
    get_file(origin=f"{files.url}/a.bin", file_hash=SHA)
    assert target.read_bytes() == CONTENT
    assert capsys.readouterr().out.startswith(
        f"{target} has another sha256 than expected; downloading it again.\n"
    )


def test_a_wrong_hash_keeps_nothing(files, home):
    origin = f"{files.url}/a.bin"
    with pytest.raises(ValueError) as error:
        get_file(origin=origin, file_hash="0" * 64)
    assert str(error.value) == (
        f"{origin}: expected a file with sha256 {'0' * 64}, found {SHA}; the file was not kept; "
        "try again, and do not use it if the hash stays wrong."
    )
    assert cached(home) == []


def test_a_wrong_hash_leaves_the_older_file(files, home):
    target = home / "datasets" / "a.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")
    with pytest.raises(ValueError, match="expected a file with sha256"):
        get_file(origin=f"{files.url}/a.bin", file_hash="0" * 64)
    assert target.read_bytes() == b"old" and cached(home) == ["a.bin"]


def test_a_truncated_download_keeps_nothing(files, home):
    files.fault = "truncate"
    with pytest.raises(OSError) as error:
        get_file(origin=f"{files.url}/a.bin")
    assert str(error.value) == (
        f"{files.url}/a.bin: expected a download, found a connection that broke off 512000 bytes "
        "before the end; without a network, fetch that file elsewhere and put it at "
        f"{home / 'datasets' / 'a.bin'}."
    )
    assert cached(home) == []
    files.fault = None
    assert pathlib.Path(get_file(origin=f"{files.url}/a.bin")).read_bytes() == CONTENT


def test_missing_file(files, home):
    with pytest.raises(OSError) as error:
        get_file(origin=f"{files.url}/none.bin", file_hash=SHA)
    assert str(error.value) == (
        f"{files.url}/none.bin: expected a download, found HTTP status 404 (Not Found); without a "
        f"network, fetch that file elsewhere and put it at {home / 'datasets' / 'none.bin'} "
        f"(sha256 {SHA})."
    )


OFFLINE = [
    (urllib.error.URLError(OSError(-3, "Temporary failure in name resolution")),
     "the error 'Temporary failure in name resolution'"),
    (ConnectionRefusedError(111, "Connection refused"), "the error 'Connection refused'"),
    (TimeoutError("timed out"), "the error 'timed out'"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "reason"), OFFLINE)
def test_without_a_network(home, monkeypatch, fault, reason):
    monkeypatch.delenv("STEPFIT_DATASETS_URL", raising=False)

    def fail(*args, **kwargs):
        raise fault

    monkeypatch.setattr("urllib.request.urlopen", fail)
    with pytest.raises(OSError) as error:
        mnist.load_data()
    assert str(error.value) == (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz: expected a "
        f"download, found {reason}; without a network, fetch that file elsewhere and put it at "
        f"{home / 'datasets' / 'mnist.npz'} (sha256 "
        "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1). "
        "stepfit.datasets.digits comes with the package and needs no network."
    )
    assert cached(home) == []


def test_a_killed_download_leaves_no_half_file(files, home):
    files.fault = "stall"
    code = f"from stepfit.utils import get_file; get_file(origin='{files.url}/a.bin')"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    try:
        assert files.stalled.wait(60)
        parts = []
        for _ in range(500):
            parts = [p for p in cached(home) if p.endswith(".part")]
            if parts:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert len(parts) == 1 and cached(home) == parts
    files.fault = None
    files.release.set()
    old = time.time() - 3600
    os.utime(home / "datasets" / parts[0], (old, old))
    assert pathlib.Path(get_file(origin=f"{files.url}/a.bin")).read_bytes() == CONTENT
    assert cached(home) == ["a.bin"]


def test_a_download_that_still_runs_is_left_alone(files, home):
    part = home / "datasets" / ".a.bin.other.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"of another process")
    get_file(origin=f"{files.url}/a.bin")
    assert cached(home) == [".a.bin.other.part", "a.bin"]


def test_an_interrupt_leaves_nothing(files, home, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(f"{files.url}/a.bin", home / "datasets" / "a.bin")
    assert cached(home) == []


def tar_with(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            content = b"text" if kind == tarfile.REGTYPE else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zip_with(*names, mode=0o644):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, b"text")
    return out.getvalue()


GOOD_TAR = tar_with(("d", tarfile.DIRTYPE, ""), ("d/x.txt", tarfile.REGTYPE, ""))
GOOD = {"a.tar.gz": GOOD_TAR, "a.zip": zip_with("d/", "d/x.txt")}


@pytest.mark.parametrize("name", GOOD)
def test_archives_are_extracted_once(server, home, name):
    server.files[name] = GOOD[name]
    for _ in range(2):
        folder = get_file(origin=f"{server.url}/{name}", extract=True)
        assert folder == str(home / "datasets" / name)
        assert pathlib.Path(folder, "d", "x.txt").read_bytes() == b"text"
    assert cached(home) == [name, f"{name}_archive"] and len(server.requests) == 1


NAMES = [("data", "data", "data_archive"), ("a.tar.gz", "a_extracted", "a.tar.gz"),
         (None, "a.tar.gz", "a.tar.gz_archive")]  # fmt: skip


@pytest.mark.parametrize(("fname", "folder", "archive"), NAMES)
def test_names_of_extracted_folders(server, home, fname, folder, archive):
    server.files["a.tar.gz"] = GOOD_TAR
    found = get_file(fname, f"{server.url}/a.tar.gz", untar=True)
    assert found == str(home / "datasets" / folder)
    assert cached(home) == sorted([folder, archive])


def test_a_new_archive_replaces_the_folder(server, home):
    server.files["a.zip"] = zip_with("old.txt")
    get_file(origin=f"{server.url}/a.zip", extract=True)
    server.files["a.zip"] = zip_with("new.txt")
    folder = get_file(origin=f"{server.url}/a.zip", extract=True, force_download=True)
    assert os.listdir(folder) == ["new.txt"]
    assert cached(home) == ["a.zip", "a.zip_archive"]


UNSAFE = {
    "parent": tar_with(("../x", tarfile.REGTYPE, "")),
    "absolute": tar_with(("/tmp/x", tarfile.REGTYPE, "")),
    "symlink": tar_with(("l", tarfile.SYMTYPE, "/etc")),
    "symlink, then file": tar_with(("l", tarfile.SYMTYPE, "/tmp"), ("l/x", tarfile.REGTYPE, "")),
    "hard link": tar_with(("l", tarfile.LNKTYPE, "/etc/passwd")),
    "device": tar_with(("l", tarfile.CHRTYPE, "")),
    "backslash": tar_with(("..\\x", tarfile.REGTYPE, "")),
    "drive": tar_with(("C:x", tarfile.REGTYPE, "")),
    "zip parent": zip_with("../x"),
    "zip absolute": zip_with("/tmp/x"),
    "zip symlink": zip_with("l", mode=0o120777),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_archives_are_refused(server, home, name):
    server.files["a.bin"] = UNSAFE[name]
    with pytest.raises(ValueError, match="expected a plain file or folder, found a"):
        get_file(origin=f"{server.url}/a.bin", extract=True)
    assert cached(home) == ["a.bin_archive"]


BAD = [
    (lambda url: get_file("a"), TypeError,
     "get_file(origin): expected a URL, found None; pass the URL of the file."),
    (lambda url: get_file("a", "ssh://x/a"), ValueError,
     "get_file(origin): expected an http, https or file URL, found 'ssh://x/a'; pass the URL of "
     "the file."),
    (lambda url: get_file("../a", url), ValueError,
     "get_file(fname): expected a file name without folders, found '../a'; use cache_dir and "
     "cache_subdir for the folder."),
    (lambda url: get_file(origin="http://x"), ValueError,
     "get_file(origin): expected a URL with a file name, found 'http://x'; pass fname."),
    (lambda url: get_file(origin=url, hash_algorithm="sha1"), ValueError,
     "hash_algorithm: expected the name of a hash, found 'sha1'; did you mean 'sha256'?"),
    (lambda url: get_file(origin=url, extract=True, archive_format="rar"), ValueError,
     "archive_format: expected the name of a format, found 'rar'; did you mean 'tar'?"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), BAD, ids=[row[2][:40] for row in BAD])
def test_message(files, call, kind, text):
    with pytest.raises(kind) as error:
        call(f"{files.url}/a.bin")
    assert str(error.value) == text


def test_no_archive(files, home):
    with pytest.raises(ValueError) as error:
        get_file(origin=f"{files.url}/a.bin", extract=True)
    assert str(error.value) == (
        f"{home / 'datasets' / 'a.bin_archive'}: expected a tar or zip archive, found another "
        "kind of file; check the URL."
    )
