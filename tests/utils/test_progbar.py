"""The progress bar on a terminal, in a notebook and in a log."""

import io
import logging
import os
import re
import sys
import time

import pytest

from stepfit.utils import Progbar, progbar
from stepfit.utils.console import (
    disable_interactive_logging,
    enable_interactive_logging,
    end_line,
    print_msg,
)

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progbar, "time", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch):
    def start(columns=80):
        screen = Terminal()
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.delenv("NO_COLOR", raising=False)
        return screen

    return start


def frames(screen):
    return [ANSI.sub("", f) for f in screen.getvalue().split("\r")[1:]]


def run(clock, target=4, steps=4, seconds=0.01, values=(("loss", 0.5),), **kwargs):
    bar = Progbar(target, stateless_metrics=(), **kwargs)
    for step in range(1, steps + 1):
        clock.now += seconds
        bar.update(step, list(values))
    return bar


def test_terminal(terminal, clock):
    screen = terminal()
    run(clock, interval=0)
    line = "━" * 20
    assert frames(screen) == [
        f"1/4 {line} 0s 10ms/step - loss: 0.5000",
        f"2/4 {line} 0s 10ms/step - loss: 0.5000",
        f"3/4 {line} 0s 10ms/step - loss: 0.5000",
        f"4/4 {line} 0s 10ms/step - loss: 0.5000\n",
    ]


def test_colours_show_how_far_it_is(terminal, clock):
    screen = terminal()
    run(clock, steps=1)
    assert "\x1b[32m" + "━" * 5 + "\x1b[0m\x1b[37m" + "━" * 15 in screen.getvalue()


def test_without_colours(terminal, clock, monkeypatch):
    screen = terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    run(clock, steps=1)
    assert "\x1b" not in screen.getvalue()
    assert "━" * 5 + "─" * 15 in screen.getvalue()


@pytest.mark.parametrize("columns", [200, 80, 60, 50, 40, 30, 20, 10, 5])
@pytest.mark.parametrize("target", [1000, None])
def test_no_line_is_wider_than_the_terminal(terminal, clock, columns, target):
    screen = terminal(columns)
    values = [("accuracy", 0.5), ("loss", 0.25), ("val_loss", 1e-5)]
    bar = run(clock, target, steps=999, interval=0, values=values)
    for frame in frames(screen):
        assert len(frame) < columns and "\n" not in frame
    if columns > 30:
        bar.update(1000, values, finalize=True)
        last = frames(screen)[-1]
        assert all(len(line) < columns for line in last.split("\n"))
        for text in ("accuracy: 0.5000", "loss: 0.2500", "val_loss: 1.0000e-05"):
            assert text in last


MANY = [("loss", 0.12), ("mae", 0.37), ("mse", 1e-5), ("accuracy", 0.5), ("precision", 17.1)]


@pytest.mark.parametrize(
    ("columns", "count", "line"),
    [
        (80, 2, " 1/20 ━─────────────────── 0s 10ms/step - loss: 0.1200 - mae: 0.3700"),
        (60, 2, " 1/20 ─────────── 0s 10ms/step - loss: 0.1200 - mae: 0.3700"),
        (70, 3, " 1/20 ────── 0s 10ms/step - loss: 0.120 - mae: 0.370 - mse: 1.000e-05"),
        (80, 5, " 1/20 ───────────────── 0s 10ms/step - loss: 0.12 - mae: 0.37 - mse: 1.00e-05 …"),
        (99, 5, " 1/20 ─────────────────── 0s 10ms/step - loss: 0.12 - mae: 0.37 - mse: 1.00e-05"
                " - accuracy: 0.50 …"),
        (30, 5, " 1/20 0s 10ms/step - loss: 0…"),
    ],
)  # fmt: skip
def test_many_metrics_take_digits_first_and_leave_a_short_bar(
    terminal, clock, monkeypatch, columns, count, line
):
    screen = terminal(columns)
    monkeypatch.setenv("NO_COLOR", "1")
    run(clock, 20, steps=1, values=MANY[:count])
    assert frames(screen) == [line] and len(line) < columns


def test_what_others_print_takes_the_place_of_the_line(terminal, clock, monkeypatch):
    screen, errors = terminal(), Terminal()
    monkeypatch.setattr(sys, "stderr", errors)
    bar = run(clock, steps=1)
    width = len(frames(screen)[0])
    print("hello", "you")
    assert screen.getvalue().endswith(f"0.5000\r{' ' * width}\rhello you\n")
    print("and again")
    assert screen.getvalue().endswith("\rhello you\nand again\n")
    clock.now += 1
    bar.update(2, [("loss", 0.5)])
    sys.stderr.write("a warning\n")
    assert errors.getvalue() == "a warning\n"
    assert screen.getvalue().endswith(" \r") and "0.5000" in frames(screen)[-3]
    clock.now += 1
    bar.update(3, [("loss", 0.5)])
    assert "write" in vars(screen)
    end_line()
    assert "write" not in vars(screen) and "write" not in vars(errors)
    assert screen.getvalue().endswith("0.5000\n")


def test_standard_error_in_a_file_leaves_the_line(terminal, clock, monkeypatch):
    screen = terminal()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    run(clock, steps=1)
    sys.stderr.write("a warning\n")
    assert screen.getvalue().endswith("0.5000")


def test_a_write_of_the_users_own_stays(terminal, clock):
    screen, heard = terminal(), []

    def tee(text):
        heard.append(text)
        return len(text)

    screen.write = tee
    bar = run(clock, steps=1)
    print("hello")
    assert "hello" in heard
    clock.now += 1
    bar.update(4, [("loss", 0.5)])
    assert vars(screen)["write"] is tee and heard[-1].endswith("0.5000\n")


def test_a_stream_that_cannot_be_watched_gets_its_bar(monkeypatch, clock):
    class Slots:
        __slots__ = ("texts",)

        def __init__(self):
            self.texts = []

        def isatty(self):
            return True

        def write(self, text):
            self.texts.append(text)

        def flush(self):
            pass

    screen = Slots()
    monkeypatch.setattr(sys, "stdout", screen)
    run(clock)
    assert screen.texts[-1].endswith("0.5000\n")


def test_a_longer_line_leaves_nothing_behind(terminal, clock):
    screen = terminal()
    bar = Progbar(3, interval=0, stateless_metrics=())
    bar.update(1, [("loss", 1e-9)])
    bar.update(2, [("loss", 0.5)])
    first, second = frames(screen)
    assert len(second) == len(first) and second.endswith("0.5000    ")


def test_redraws_are_rare(terminal, clock):
    screen = terminal()
    run(clock, 10_000, steps=10_000, seconds=1e-3)
    assert 150 <= len(frames(screen)) <= 205  # ten seconds, at most 20 per second


def test_a_step_costs_next_to_nothing(terminal):
    terminal()
    bar = Progbar(10**9, stateless_metrics=())
    values = [("loss", 0.5)]
    start = time.perf_counter()
    for step in range(1, 5001):
        bar.update(step, values)
    assert (time.perf_counter() - start) / 5000 < 50e-6


def test_log_has_one_line_and_no_control_characters(capsys, clock):
    for verbose in (1, 2):
        run(clock, verbose=verbose)
        assert capsys.readouterr().out == "4/4 - 0s - 10ms/step - loss: 0.5000\n"


def test_one_line_on_a_terminal_with_verbose_2(terminal, clock):
    screen = terminal()
    run(clock, verbose=2)
    assert screen.getvalue() == "4/4 - 0s - 10ms/step - loss: 0.5000\n"


def test_silent(terminal, clock):
    screen = terminal()
    assert not run(clock, verbose=0).due()
    assert screen.getvalue() == ""


def test_unknown_target(terminal, clock):
    screen = terminal()
    run(clock, None, steps=2, interval=0)
    assert frames(screen) == [
        "1/Unknown 0s 10ms/step - loss: 0.5000",
        "2/Unknown 0s 10ms/step - loss: 0.5000",
    ]


def test_the_first_step_is_left_out_of_the_rate(capsys, clock):
    bar = Progbar(11, stateless_metrics=())
    clock.now += 60  # compiling
    bar.update(1)
    clock.now += 1
    bar.update(11)
    assert capsys.readouterr().out == "11/11 - 61s - 100ms/step\n"


def test_compiling_later_on_is_left_out_of_the_rate(capsys, clock):
    bar = Progbar(11, stateless_metrics=())
    clock.now += 60  # compiling
    bar.leave_out(60)
    bar.update(1)
    clock.now += 31  # compiling for 30 seconds
    bar.leave_out(90)
    bar.update(11)
    bar = Progbar(4, stateless_metrics=())
    clock.now += 9
    bar.leave_out(8)
    bar.update(4)  # all at once
    assert capsys.readouterr().out == "11/11 - 91s - 100ms/step\n4/4 - 9s - 250ms/step\n"


def test_validation_is_left_out_of_the_rate(capsys, clock):
    bar = Progbar(10, stateless_metrics=())
    bar.update(0)
    for step in range(1, 11):
        clock.now += 0.1
        bar.update(step, finalize=False)
    bar.stop_clock()
    clock.now += 60
    bar.update(10, finalize=True)
    assert capsys.readouterr().out == "10/10 - 61s - 100ms/step\n"


TIMES = [(0.5, "9s"), (10, "3:10"), (500, "2:38:20")]


@pytest.mark.parametrize(("seconds", "text"), TIMES)
def test_time_left(terminal, clock, seconds, text):
    screen = terminal()
    run(clock, 20, steps=1, seconds=seconds)
    assert f" {text} " in frames(screen)[0]


RATES = [(2.0, "2s/step"), (5e-3, "5ms/step"), (5e-6, "5us/step")]


@pytest.mark.parametrize(("seconds", "text"), RATES)
def test_rate(capsys, clock, seconds, text):
    run(clock, seconds=seconds)
    assert f" - {text} - " in capsys.readouterr().out


def test_averages_and_stateful_metrics_are_those_of_keras(terminal, clock):
    from keras.utils import Progbar as KerasProgbar

    screen = terminal()
    found = []
    for kind in (Progbar, KerasProgbar):
        bar = kind(10, interval=0, stateful_metrics=["b"])
        bar.update(1, [("a", 1.0), ("b", 1.0)])
        bar.update(3, [("a", 4.0), ("b", 2.0)])
        bar.add(2, [("a", 0.5), ("b", -3.0)])
        text = ANSI.sub("", screen.getvalue().split("\r")[-1])
        found.append(re.findall(r"- (\w): (\S+)", text))
    assert found[0] == found[1] == [("a", "2.0000"), ("b", "-3.0000")]


def test_both_kinds_of_metrics_are_an_error():
    with pytest.raises(ValueError) as error:
        Progbar(1, stateful_metrics=["a"], stateless_metrics=["b"])
    assert str(error.value) == (
        "Progbar: expected stateful_metrics or stateless_metrics, found both; pass one of them."
    )


def test_notebook_redraws_in_place(monkeypatch, clock):
    class OutStream(io.StringIO):
        pass

    OutStream.__module__ = "ipykernel.iostream"
    monkeypatch.setitem(sys.modules, "ipykernel", os)
    screen = OutStream()
    monkeypatch.setattr(sys, "stdout", screen)
    run(clock, interval=0)
    assert len(frames(screen)) == 4 and screen.getvalue().count("\n") == 1


def test_output_that_cannot_encode_the_bar(monkeypatch, clock):
    class Ascii(io.TextIOWrapper):
        def isatty(self):
            return True

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Ascii(raw, encoding="ascii"))
    run(clock, steps=1)
    assert b"=====" in raw.getvalue()


def test_messages_go_to_the_logger_when_asked(capsys, caplog, clock):
    disable_interactive_logging()
    try:
        with caplog.at_level(logging.INFO, logger="stepfit"):
            print_msg("hello")
            run(clock)
    finally:
        enable_interactive_logging()
    assert caplog.messages == ["hello", "4/4 - 0s - 10ms/step - loss: 0.5000"]
    assert capsys.readouterr().out == ""
