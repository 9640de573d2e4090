"""The compilation cache: who chooses it, what several processes and broken files do to it."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

import stepfit
from stepfit.core import compilation_cache
from stepfit.core.compilation_cache import FileCache

ROOT = pathlib.Path(stepfit.__file__).parent.parent
SCRIPT = """
import collections, json, sys, jax, numpy as np
counts = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **k: counts.update([event.split("/")[-1]]))
{before}
import stepfit as keras
layers = [keras.Input((2,)), keras.layers.Dense(3, kernel_initializer="ones")]
model = keras.Sequential(layers)
model.compile("sgd", "mse")
loss = model.train_on_batch(np.ones((4, 2), "float32"), np.ones((4, 3), "float32"))
{after}
print(json.dumps([keras.config.compilation_cache(), float(loss), counts["cache_hits"],
                  counts["cache_misses"]]))
"""
CLEARED = ("JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE", compilation_cache.VARIABLE)


def start(before="", after="", **env):
    inherited = {k: v for k, v in os.environ.items() if k not in CLEARED}
    env = {**inherited, "PYTHONPATH": str(ROOT), **{k: str(v) for k, v in env.items()}}
    code = SCRIPT.format(before=before, after=after)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err[-2000:]
    assert err == ""
    return json.loads(out)


def run(**options):
    return finish(start(**options))


def programs(folder):
    return sorted(pathlib.Path(folder).rglob("*.program"))


def test_processes_at_once_then_a_warm_one_then_broken_files(tmp_path):
    together = [start(STEPFIT_COMPILATION_CACHE=tmp_path) for _ in range(3)]
    found = [finish(process) for process in together]
    assert {where for where, *_ in found} == {str(tmp_path)}
    losses = {loss for _, loss, *_ in found}
    assert losses == {1.0}  # (2 - 1)**2
    assert all(hits + misses > 0 for *_, hits, misses in found)
    assert programs(tmp_path)
    assert not list(tmp_path.rglob("draft-*"))

    _, loss, hits, misses = run(STEPFIT_COMPILATION_CACHE=tmp_path)
    assert (loss, misses) == (1.0, 0)
    assert hits == len(programs(tmp_path))

    for number, file in enumerate(programs(tmp_path)):
        content = file.read_bytes()
        broken = [content[: len(content) // 2], b"", content[:-1] + b"?"][number % 3]
        file.write_bytes(broken)
    _, loss, hits, misses = run(STEPFIT_COMPILATION_CACHE=tmp_path)
    assert (loss, hits) == (1.0, 0)
    assert misses == len(programs(tmp_path))  # and they are whole again:
    cache = FileCache(tmp_path, 1 << 30)
    assert all(cache.get(file.stem) for file in programs(tmp_path))


CHOICES = {  # environment and code -> the folder in use, below the test's own
    "a folder of JAX": ({"JAX_COMPILATION_CACHE_DIR": "own"}, "", "own"),
    "jax.config": ({}, "jax.config.update('jax_compilation_cache_dir', {!r} + '/own')", "own"),
    "switched off in JAX": ({"JAX_ENABLE_COMPILATION_CACHE": "0"}, "", None),
    "switched off": ({"STEPFIT_COMPILATION_CACHE": "off"}, "", None),
    "not a folder": (  # which is warned of
        {"STEPFIT_COMPILATION_CACHE": "a_file/cache"},
        "import warnings; warnings.simplefilter('ignore')", None,
    ),
    "the user's": ({}, "", "stepfit/compiled"),
    "switched off in code": (
        {}, "import stepfit; stepfit.config.set_compilation_cache(None)", None,
    ),
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="the user's cache is elsewhere")
@pytest.mark.parametrize("env, before, wanted", CHOICES.values(), ids=CHOICES)
def test_who_chooses(env, before, wanted, tmp_path):
    (tmp_path / "a_file").write_text("")
    folders = {
        k: tmp_path / v if v[0] in "oa" and v != "off" else v for k, v in env.items()
    }  # fmt: skip
    where, loss, *_ = run(before=before.format(str(tmp_path)), XDG_CACHE_HOME=tmp_path, **folders)
    assert (where, loss) == (wanted and str(tmp_path / wanted), 1.0)
    ours = programs(tmp_path)
    assert bool(ours) == (wanted == "stepfit/compiled")


def test_a_folder_given_to_jax_later_is_used(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    after = f"jax.config.update('jax_compilation_cache_dir', {str(theirs)!r})"
    where, *_ = run(after=after, STEPFIT_COMPILATION_CACHE=ours)
    assert where == str(theirs)


KEY = "jit_f-" + "0" * 64


def test_what_was_put_is_got(tmp_path):
    cache = FileCache(tmp_path / "new", 1 << 20)
    assert cache.get(KEY) is None
    cache.put(KEY, b"program")
    assert cache.get(KEY) == b"program"
    assert FileCache(tmp_path / "new", 1 << 20).get(KEY) == b"program"
    long = "jit_" + "f" * 500
    cache.put(long + KEY, b"another")
    assert (cache.get(long + KEY), cache.get(KEY)) == (b"another", b"program")


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * 100])
def test_a_broken_file_is_dropped(content, tmp_path):
    cache = FileCache(tmp_path, 1 << 20)
    cache.put(KEY, b"program")
    (file,) = programs(tmp_path)
    file.write_bytes(content)
    assert cache.get(KEY) is None
    assert not file.exists()


def test_a_folder_that_vanishes_costs_nothing(tmp_path):
    cache = FileCache(tmp_path / "gone", 1 << 20)
    cache.folder.rmdir()
    cache.put(KEY, b"program")
    assert cache.get(KEY) is None


def test_another_machine_has_another_folder(tmp_path, monkeypatch):
    here = FileCache(tmp_path, 1 << 20)
    here.put(KEY, b"program")
    compilation_cache.machine.cache_clear()
    monkeypatch.setattr(compilation_cache, "_cpu", lambda: "flags: avx9")
    try:
        there = FileCache(tmp_path, 1 << 20)
        assert there.folder != here.folder
        assert there.get(KEY) is None
    finally:
        compilation_cache.machine.cache_clear()


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    elsewhere = tmp_path / "another machine"
    elsewhere.mkdir()
    (elsewhere / "old.program").write_bytes(b"x" * 500)
    os.utime(elsewhere / "old.program", (1, 1))
    cache = FileCache(tmp_path, 1000)
    for number, key in enumerate(["a", "b", "c"]):
        cache.put(key, b"x" * 300)
        os.utime(cache.folder / f"{key}.program", (100 + number, 100 + number))
    assert cache.get("a")  # used now
    cache._written = compilation_cache._LOOK_EVERY
    cache.put("d", b"x" * 300)
    assert [file.stem for file in programs(tmp_path)] == ["a", "c", "d"]
    assert sum(file.stat().st_size for file in programs(tmp_path)) <= 1000


HAMMER = """
import sys
from stepfit.core.compilation_cache import _LOOK_EVERY, FileCache
cache = FileCache(sys.argv[1], 40_000)
for turn in range(200):
    cache._written = _LOOK_EVERY
    key = f"key{turn % 5}"
    content = key.encode() * 3000
    cache.put(key, content)
    assert cache.get(key) in (None, content)
"""


def test_many_writers_and_readers_while_room_is_made(tmp_path):
    command = [sys.executable, "-c", HAMMER, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen(command, env=env) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert 0 < sum(file.stat().st_size for file in programs(tmp_path)) <= 40_000
    assert not list(tmp_path.rglob("draft-*"))


ERRORS = {
    "a number": ({"directory": 3}, TypeError,
        "set_compilation_cache(directory): expected a folder's path or None, found 3."),
    "a size": ({"directory": None, "max_size": 0}, ValueError,
        "set_compilation_cache(max_size): expected a positive number of bytes, found 0."),
    "below a file": ({"directory": "{}/a_file/x"}, ValueError,
        "set_compilation_cache(directory): expected a folder that can be written to, found "
        "'{}/a_file/x' (Not a directory)."),
}  # fmt: skip


@pytest.mark.parametrize("arguments, kind, text", ERRORS.values(), ids=ERRORS)
def test_what_cannot_be_set(arguments, kind, text, tmp_path):
    (tmp_path / "a_file").write_text("")
    given = {k: v.format(tmp_path) if isinstance(v, str) else v for k, v in arguments.items()}
    with pytest.raises(kind) as caught:
        stepfit.config.set_compilation_cache(**given)
    assert str(caught.value) == text.format(tmp_path)
