"""The compilation cache: programs compiled in one process are loaded from disk in the next.

JAX asks a cache for each program that it is about to compile, by a key made of the program, the
compiler's options and its version. `FileCache` keeps one file per program, in a folder named after
the machine's kind, so that a home directory on many machines never feeds one the code of another.
It is safe with any number of processes and needs no locks: a file gets its name once it is
complete, it begins with a checksum of the rest, and one that does not fit it is dropped, so that
the program is compiled again. (JAX's own folder cache writes in place, keeps a broken entry for
good, and needs a further package to bound its size.) Whatever goes wrong with files, training goes
on without them, and without noise.

The programs in the folder are run as they are: keep it where only you may write.
"""

import functools
import hashlib
import os
import pathlib
import platform
import sys
import tempfile
import threading
import warnings

import jax

from stepfit.core import errors, jax_private

VARIABLE = "STEPFIT_COMPILATION_CACHE"  # of the environment: a folder, or one of `_OFF`
_OFF = ("0", "off", "false", "none")
_SUFFIX = ".program"
_DRAFT = "draft-"  # of files being written
_DIGEST_SIZE = 16
_MAX_SIZE = 1 << 30
_LOOK_EVERY = 1 << 26  # bytes written between two looks at the size of the folder
_KEEP_ALL = (  # settings of JAX: default, and what keeps small programs too
    ("jax_persistent_cache_min_compile_time_secs", 1.0, 0.0),
    ("jax_persistent_cache_min_entry_size_bytes", 0, -1),
)

_lock = threading.Lock()
_ensured = False
_cache: "FileCache | None" = None  # the one that JAX was given


class FileCache:
    """Compiled programs as files, as `jax` wants a cache: `get` and `put`.

    Args:
        root: folder of the caches of every kind of machine; `max_size` bounds it as a whole.
        max_size: bytes; the programs that were not used for longest are deleted first.

    Raises:
        OSError: the folder cannot be made or written to.
    """

    def __init__(self, root, max_size):
        self.root, self.max_size = pathlib.Path(root), max_size
        self.folder = self._path = self.root / machine()  # JAX knows it by the second name
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        tempfile.TemporaryFile(dir=self.folder).close()
        self._written = _LOOK_EVERY  # since the size was last looked at: look at once

    def _file(self, key):
        return self.folder / (key[-160:] + _SUFFIX)  # the end of a key is a hash

    def get(self, key):
        """Return the program of a key as bytes, or None."""
        file = self._file(key)
        try:
            content = file.read_bytes()
            if content[:_DIGEST_SIZE] != _digest(content[_DIGEST_SIZE:]):
                file.unlink()
                return None
            os.utime(file)  # used now
        except OSError:
            return None
        return content[_DIGEST_SIZE:]

    def put(self, key, value):
        """Keep a program under a key."""
        try:
            descriptor, draft = tempfile.mkstemp(prefix=_DRAFT, dir=self.folder)
        except OSError:
            return
        try:
            with open(descriptor, "wb") as file:
                file.write(_digest(value) + value)
            os.replace(draft, self._file(key))
        except OSError:  # the disk is full, say
            pathlib.Path(draft).unlink(missing_ok=True)
            return
        self._written += len(value)
        if self._written >= _LOOK_EVERY:
            self._written = 0
            self._make_room()

    def _make_room(self):
        """Delete what was not used for longest, where there is more than `max_size`."""
        found = []
        for file in self.root.glob("*/*"):
            try:
                status = file.stat()
            except OSError:  # deleted by another process
                continue
            if file.suffix == _SUFFIX or file.name.startswith(_DRAFT):
                found.append((status.st_mtime, status.st_size, file))
        size = sum(size for _, size, _ in found)
        for _, bytes_, file in sorted(found):
            if size <= self.max_size:
                return
            try:
                file.unlink(missing_ok=True)
            except OSError:  # in use, on Windows
                continue
            size -= bytes_


def _digest(content):
    return hashlib.blake2b(content, digest_size=_DIGEST_SIZE).digest()


@functools.cache
def machine():
    """Return a folder name that two machines share only if compiled code may go between them."""
    kind = f"{sys.platform}-{platform.machine()}"
    about = f"{platform.processor()}\n{_cpu() or platform.node()}\n{_cores()}"
    fingerprint = hashlib.blake2b(about.encode(), digest_size=6).hexdigest()
    return f"jax{jax.__version__}-jaxlib{jax.lib.__version__}-{kind}-{fingerprint}"


def _cpu():
    """Return what Linux says of the first core, or None where it says nothing."""
    told = []
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if not line.strip():
                    break
                if line.split(":")[0].strip() not in ("cpu MHz", "bogomips", "BogoMIPS"):
                    told.append(line)
    except OSError:
        return None
    return "".join(told)


def _cores():
    """The number of cores for this process: XLA divides loops by it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def default_directory():
    """Return the per-user folder for compiled programs, or None if the user has no home."""
    try:
        if sys.platform == "darwin":
            base = pathlib.Path.home() / "Library" / "Caches"
        elif sys.platform == "win32":
            base = pathlib.Path(os.environ.get("LOCALAPPDATA") or pathlib.Path.home())
        else:
            base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    except RuntimeError:
        return None
    return base / "stepfit" / "compiled"


def ensure_compilation_cache():
    """Give JAX the compilation cache, once, unless the user has chosen for themselves.

    Called before anything is compiled; the first call costs about a millisecond, the others
    nothing. JAX's own settings come first (``JAX_COMPILATION_CACHE_DIR``,
    ``JAX_ENABLE_COMPILATION_CACHE`` and what `jax.config` says), then `set_compilation_cache`, then
    the environment variable ``STEPFIT_COMPILATION_CACHE``.
    """
    global _ensured
    if _ensured and (_cache is None or _directory_in_jax() == str(_cache.folder)):
        return
    with _lock:
        if _ensured:  # the user has given JAX another folder since
            _use(None, _directory_in_jax())
            return
        _ensured = True
        if _directory_in_jax() is not None or not _enabled_in_jax():
            return
        wanted = os.environ.get(VARIABLE) or default_directory()
        if wanted is not None and str(wanted).lower() not in _OFF:
            try:
                _use(FileCache(wanted, _MAX_SIZE))
            except OSError as e:  # no folder, no cache
                if os.environ.get(VARIABLE):
                    expected = "a folder that can be written to, or off"
                    fix = "programs are compiled anew in each process"
                    found = f"{wanted!r} ({e.strerror})"
                    text = errors.message(VARIABLE, expected, found, fix)
                    warnings.warn(text, UserWarning, stacklevel=errors.users_level())


def _use(cache, directory=None):
    """Have JAX ask `cache`, or no cache of ours."""
    global _cache
    _cache = cache
    if cache is not None:
        directory = str(cache.folder)  # where XLA keeps what it has tuned, on a GPU
        for option, default, wanted in _KEEP_ALL:
            if getattr(jax.config, option) == default:
                jax.config.update(option, wanted)
    jax_private.use_compilation_cache(cache, directory)


def _directory_in_jax():
    return jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]


def _enabled_in_jax():
    return jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]


def set_compilation_cache(directory, max_size=1 << 30):
    """Set where compiled programs are kept from one process to the next, or switch that off.

    The default is a folder of the user's cache directory (``~/.cache/stepfit/compiled`` on Linux),
    or what the environment variable ``STEPFIT_COMPILATION_CACHE`` says: a folder, or "off". Where
    JAX was told of a folder of its own (``JAX_COMPILATION_CACHE_DIR``), that one is used.

    Args:
        directory: folder, which other processes may use too; None: nothing is kept.
        max_size: bytes that may be kept there; what was not used for longest is deleted.

    Raises:
        TypeError: not a path. ValueError: the folder cannot be written to, or `max_size` is
            not positive.

    Example:

    >>> import tempfile, stepfit as keras
    >>> before = keras.config.compilation_cache()
    >>> folder = tempfile.mkdtemp()
    >>> keras.config.set_compilation_cache(folder)
    >>> keras.config.compilation_cache() == folder
    True
    >>> keras.config.set_compilation_cache(before)
    """
    where = "set_compilation_cache(directory)"
    if isinstance(max_size, bool) or not isinstance(max_size, int) or max_size <= 0:
        raise errors.bad_value(
            "set_compilation_cache(max_size)", "a positive number of bytes", repr(max_size)
        )
    new = None
    if directory is not None:
        if not isinstance(directory, (str, os.PathLike)):
            raise errors.bad_type(where, "a folder's path or None", errors.describe(directory))
        try:
            new = FileCache(os.path.expanduser(directory), max_size)
        except OSError as e:
            raise errors.bad_value(
                where, "a folder that can be written to", f"{os.fspath(directory)!r} ({e.strerror})"
            ) from e
    global _ensured
    with _lock:
        _ensured = True
        _use(new)


def compilation_cache():
    """Return the folder in which compiled programs are kept, or None where they are not.

    Returns:
        str or None.
    """
    ensure_compilation_cache()
    if _cache is not None:
        return str(_cache.root)
    return _directory_in_jax() if _enabled_in_jax() else None
