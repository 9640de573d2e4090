"""Files from the network, kept in a cache and checked by their hash.

A download is written beside its place and renamed only when it is complete and its hash is right,
so a file in the cache is never half a file, whatever happens to the process.
"""

import contextlib
import hashlib
import http.client
import os
import pathlib
import urllib.error
import urllib.parse
import urllib.request

from stepfit.core import config, errors
from stepfit.utils import archives
from stepfit.utils.atomic import atomic_write
from stepfit.utils.console import print_msg
from stepfit.utils.progbar import Progbar

TIMEOUT = 60.0
_CHUNK = 1 << 16
_SCHEMES = ("http", "https", "file")


class DownloadError(errors.StepfitError, OSError):
    """A file could not be fetched; the message says what to do."""


def get_file(
    fname=None, origin=None, untar=False, md5_hash=None, file_hash=None, cache_subdir="datasets",
    hash_algorithm="auto", extract=False, archive_format="auto", cache_dir=None,
    force_download=False,
):  # fmt: skip
    """Return the path of a file from the network, downloading it if it is not in the cache.

    Args:
        fname: name in the cache, without folders; by default the last part of `origin`. With
            `extract` and a name without a dot, the name of the folder of the extracted files.
        origin: URL (http, https or file).
        untar: older name of `extract`, for tar archives.
        md5_hash: older name of `file_hash`, for an md5 hash.
        file_hash: sha256 or md5 of the file as hexadecimal digits; a cached file with another
            hash is downloaded again.
        cache_subdir: folder below `cache_dir`, or an absolute path.
        hash_algorithm: "sha256", "md5", or "auto" (by the length of the hash).
        extract: whether to extract a tar or zip archive.
        archive_format: "tar", "zip", a list of them, "auto" (both), or None (extract nothing).
        cache_dir: folder of the cache; by default `$STEPFIT_HOME`, else ``~/.stepfit``.
        force_download: whether to download even if the file is in the cache.

    Returns:
        The path as a string: of the file, or of the folder with the extracted files.

    Raises:
        OSError: where the file cannot be fetched; the message says how to put it there by hand.
        ValueError: for a wrong hash and for an archive with unsafe members.

    Example:

    >>> import pathlib, tempfile
    >>> import stepfit as keras
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("hello")
    >>> origin = (folder / "a.txt").as_uri()
    >>> path = keras.utils.get_file("b.txt", origin, cache_dir=folder / "c")  # doctest: +ELLIPSIS
    Downloading file://.../a.txt
    5/5 - 0s - .../byte
    >>> pathlib.Path(path).read_text()
    'hello'
    """
    origin = _checked_origin(origin)
    fname = _checked_name(fname, origin) if fname else None
    name = fname or _name_in(origin)
    folder = pathlib.Path(cache_dir or config.home()).expanduser() / cache_subdir
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    if not (extract or untar):
        target = folder / name
        fetch(origin, target, file_hash, hash_algorithm, force_download)
        return str(target)
    if fname and "." in fname:
        target, out = folder / fname, folder / f"{fname.split('.')[0]}_extracted"
    else:
        target, out = folder / f"{name}_archive", folder / name
    formats = "tar" if untar else archive_format
    new = fetch(origin, target, file_hash, hash_algorithm, force_download)
    if new or not out.is_dir():
        archives.extract(target, out, formats)
    return str(out)


def fetch(origin, target, file_hash=None, algorithm="auto", force=False, hint=""):
    """Make sure that `target` holds the file at `origin`; return whether it was downloaded."""
    hasher_name = _algorithm(file_hash, algorithm)
    if target.is_file() and not force:
        if file_hash is None or hash_of(target, hasher_name) == file_hash.lower():
            return False
        print_msg(f"{target} has another {hasher_name} than expected; downloading it again.")
    print_msg(f"Downloading {origin}")
    try:
        digest = _download(origin, target, file_hash, hasher_name)
    except (OSError, http.client.HTTPException) as error:
        raise _failed(origin, target, file_hash, hasher_name, error, hint) from error
    if digest is not None:
        raise errors.bad_value(
            origin,
            f"a file with {hasher_name} {file_hash}",
            digest,
            "the file was not kept; try again, and do not use it if the hash stays wrong",
        )
    return True


def hash_of(path, algorithm):
    """Return the hash of a file as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


class _WrongHash(Exception):
    """Leaves `atomic_write` without keeping the file."""


def _download(origin, target, file_hash, algorithm):
    """Download to `target`; return the hash if it is wrong (the file is not kept), else None."""
    hasher = hashlib.new(algorithm, usedforsecurity=algorithm != "md5")
    with contextlib.closing(urllib.request.urlopen(origin, timeout=TIMEOUT)) as response:
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        bar, done = Progbar(total, unit_name="byte", interval=0.2), 0
        try:
            with atomic_write(target) as file:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    hasher.update(chunk)
                    done += len(chunk)
                    bar.update(done, finalize=False)
                if total is not None and done < total:
                    raise http.client.IncompleteRead(b"", total - done)
                if file_hash is not None and hasher.hexdigest() != file_hash.lower():
                    raise _WrongHash
                bar.update(done, finalize=True)
        except _WrongHash:
            return hasher.hexdigest()
    return None


def _failed(origin, target, file_hash, algorithm, error, hint):
    known = f" ({algorithm} {file_hash})" if file_hash else ""
    text = (
        f"{origin}: expected a download, found {_reason(error)}; without a network, fetch that "
        f"file elsewhere and put it at {target}{known}."
    )
    return DownloadError(text + (f" {hint}" if hint else ""))


def _reason(error):
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"HTTP status {error.code} ({error.reason})"
    if isinstance(error, http.client.IncompleteRead):
        return f"a connection that broke off {error.expected} bytes before the end"
    if isinstance(error, urllib.error.URLError):
        error = error.reason
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"the error '{text}'"


def _algorithm(file_hash, algorithm):
    if algorithm == "auto":
        return "md5" if file_hash and len(file_hash) == 32 else "sha256"
    if algorithm not in ("md5", "sha256"):
        raise errors.unknown_name("hash_algorithm", "hash", algorithm, ("auto", "md5", "sha256"))
    return algorithm


def _checked_origin(origin):
    fix = "pass the URL of the file"
    if not isinstance(origin, str) or not origin:
        raise errors.bad_type("get_file(origin)", "a URL", errors.describe(origin), fix)
    if urllib.parse.urlsplit(origin).scheme not in _SCHEMES:
        raise errors.bad_value("get_file(origin)", "an http, https or file URL", repr(origin), fix)
    return origin


def _checked_name(fname, origin):
    fname = os.fspath(fname)
    if fname in (".", "..") or any(c in fname for c in ("/", "\\", "\0")):
        fix = "use cache_dir and cache_subdir for the folder"
        raise errors.bad_value("get_file(fname)", "a file name without folders", repr(fname), fix)
    return fname


def _name_in(origin):
    name = os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(origin).path))
    if not name or name in (".", ".."):
        raise errors.bad_value("get_file(origin)", "a URL with a file name", repr(origin),
                               "pass fname")
    return _checked_name(name, origin)
