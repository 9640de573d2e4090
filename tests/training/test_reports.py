"""What is said of speed, before and after: `execution_report`, dry runs, the progress bar."""

import re

import numpy as np
import pytest

import stepfit as keras
from stepfit.training import engine

X = np.random.default_rng(0).random((60, 6)).astype("float32")  # 7 batches of 8, and one of 4
Y = X.sum(axis=1, keepdims=True)


class Strict(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


def compiled(**arguments):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", **arguments)
    return model


def fitted(model, **arguments):
    return model.fit(X, Y, batch_size=8, verbose=0, shuffle=False, **arguments)


def callbacks_of(report):
    return dict(report.callbacks)


def test_steps_one_by_one_are_called_so_everywhere():
    model = compiled(steps_per_execution=1)
    report = fitted(model, dry_run=True)
    assert [form.most_steps for form in report.forms] == [1, 1] and report.forms[0].fused
    assert "fused" not in str(report) and "one step at a time: steps_per_execution=1" in str(report)
    fitted(model)
    header, program, _ = str(model.execution_report()).split("\n", 2)
    assert header.startswith("train_step: step by step (steps_per_execution=1); ")
    assert "one step per dispatch" in program and "fused" not in program


@pytest.mark.parametrize("steps", [3, 600])
def test_a_number_of_steps_is_the_most_there_are(steps):
    model = compiled(steps_per_execution=steps)
    report = fitted(model, dry_run=True, callbacks=[Strict()])
    assert report.forms[0].most_steps == steps and report.one_by_one is None
    assert callbacks_of(report)["Strict"] == "once for each dispatch, with the model"
    fitted(model)
    text = f"fused, up to {steps} steps per dispatch"
    assert str(model.execution_report()).count(text) == 2  # in the first line, and of the program


def test_a_callback_that_needs_the_model_leaves_nothing_fused():
    model = compiled()
    strict = [Strict(), keras.callbacks.ProgbarLogger()]
    report = fitted(model, dry_run=True, callbacks=strict, validation_data=(X, Y))
    assert "fused," not in str(report.forms[0])
    assert "fused, up to " in str(report.validation_forms[0])  # no hook of its own is in the way
    assert callbacks_of(report)["ProgbarLogger"] == "after every step"
    fitted(model, callbacks=strict)
    report = model.execution_report()["train"]
    assert [program.most_steps for program in report.programs] == [1, 1]
    assert report.line().startswith("train_step: step by step (Strict defines ")
    fitted(model)
    assert model.execution_report()["train"].programs[0].most_steps > 1


def test_the_first_line_tells_of_the_program_that_ran():
    model = compiled(steps_per_execution=4)
    model.train_on_batch(X[:8], Y[:8])
    assert model.execution_report()["train"].line().startswith("train_step: one step per dispatch")
    fitted(model)
    report = model.execution_report()["train"]
    assert [program.steps for program in report.programs] == [0, 7, 1]
    assert report.line().startswith("train_step: fused, up to 4 steps per dispatch")
    model.train_on_batch(X[:8], Y[:8])
    programs = model.execution_report()["train"].programs
    assert [program.most_steps for program in programs] == [1, 4, 1]


def test_steps_that_take_long_are_fewer_in_a_dispatch():
    model = compiled()
    fitted(model)
    program = model._runner("train").programs[0]
    for seconds, text in {
        engine.TICK / 20: "fused, up to about 20 steps per dispatch at this speed",
        3.0: "one step per dispatch at this speed",
        1e-9: "fused, up to 512 steps per dispatch",
    }.items():
        program._chunks.clear()
        program._chunks.append((8, True, seconds))
        program.seconds_per_step = seconds
        assert f": {text}, " in str(model.execution_report()["train"].programs[0])


def test_the_time_of_a_step_is_that_of_the_longer_dispatches():
    model = compiled()
    fitted(model)
    program = model._runner("train").programs[0]
    program._chunks.clear()
    program._latest_seconds.clear()
    program._ran = False
    program.note_seconds(9.0, 1)  # the first one is left out
    assert program.measured_seconds is None and program.seconds_per_step == 9.0
    program.note_seconds(0.5, 1)
    assert program.measured_seconds == 0.5
    program.note_seconds(0.2, 16, exact=False)
    assert program.measured_seconds == 0.2
    for seconds, steps in ((0.1, 16), (0.4, 2), (0.11, 9), (0.3, 1)):
        program.note_seconds(seconds, steps)
    assert program.measured_seconds == 0.1
    assert program.seconds_per_step == 0.2  # which lengths are chosen by: of the last five


def test_a_dry_run_counts_what_it_compiles():
    model = compiled()
    assert str(fitted(model, dry_run=True)).splitlines()[-1].startswith("  traced and compiled in ")
    again = fitted(model, dry_run=True)
    assert str(again).splitlines()[-1] == "  everything was compiled before"
    assert again.compile_seconds == 0 and all(form.ready for form in again.forms)
    more = fitted(model, dry_run=True, validation_data=(X[:8], Y[:8]))
    assert re.fullmatch(r"  traced and compiled in .* s; 2 of 3 before", str(more).splitlines()[-1])
    text = str(model.fit(X[:8], Y[:8], dry_run=True, validation_data=(X[:8], Y[:8])))
    assert "; 1 epoch of 1 step\n" in text and "validation: 1 step\n" in text


def test_the_reason_why_nothing_is_compiled():
    with pytest.warns(UserWarning) as caught:
        model = compiled(jit_compile=False)
    assert str(caught[0].message) == (
        "compile(jit_compile=False): steps are not compiled, which makes them many times slower; "
        "leave it out, or pass run_eagerly=True if that is what you want."
    )
    assert caught[0].filename == __file__
    report = fitted(model, dry_run=True, callbacks=[Strict()])
    assert str(report.forms[0]).endswith(": not compiled (jit_compile=False)")
    assert "fused" not in str(report) and str(report).endswith("\n  nothing to compile")
    fitted(model)
    text = "train_step: step by step, not compiled (jit_compile=False)"
    assert str(model.execution_report()) == text
    model.run_eagerly = True
    fitted(model)
    assert model.execution_report()["train"].why_eager == "run_eagerly=True"


def test_a_saved_model_of_another_engine_is_compiled():
    model = compiled()
    config = {**model.get_compile_config(), "jit_compile": False}
    model.compile_from_config(config)
    assert model.jit_compile == "auto" and not model._runner("train").eager


def test_the_bar_leaves_compiling_out_of_the_time_per_step(capsys, monkeypatch):
    left_out = []
    leave_out = keras.utils.Progbar.leave_out
    monkeypatch.setattr(
        keras.utils.Progbar, "leave_out",
        lambda self, seconds: (left_out.append(seconds), leave_out(self, seconds)),
    )  # fmt: skip
    model = compiled()
    model.fit(X, Y, batch_size=8, verbose=2)
    runner = model._runner("train")
    assert 0 < left_out[0] < left_out[-1] == runner.seconds["compile"] < runner.seconds["all"]
    model.fit(X, Y, batch_size=8, verbose=2)
    assert left_out[-1] == 0
    model.evaluate(X, Y, batch_size=7, verbose=2)
    assert left_out[-1] == model._runner("test").seconds["compile"] > 0
