"""How processes agree: the first one decides, and who is elsewhere hears of it."""

import itertools
import json

import jax
import pytest

import stepfit as keras
from stepfit.core import errors, jax_private, processes
from stepfit.training import fit_loop


class Service:
    """Stands for the coordination service, as seen from process 1 of 2."""

    def __init__(self, answers=()):
        self.answers, self.kept = list(answers), {}

    def blocking_key_value_get(self, key, milliseconds):
        if not self.answers:
            raise jax.errors.JaxRuntimeError("UNAVAILABLE: failed to connect\nmore")
        return json.dumps(self.answers.pop(0))

    def key_value_set(self, key, value, allow_overwrite=False):
        self.kept[key] = value

    def wait_at_barrier(self, name, milliseconds):
        self.barriers = [*getattr(self, "barriers", []), name]

    def key_value_delete(self, key):
        del self.kept[key]

    def key_value_try_get(self, key):
        if key not in self.kept:
            raise jax.errors.JaxRuntimeError("NOT_FOUND: no such key")
        return self.kept[key]


@pytest.fixture
def service(monkeypatch):
    def enter(number, *answers):
        found = Service(answers)
        monkeypatch.setattr(jax_private, "coordination", lambda: (found, number, 2))
        monkeypatch.setattr(processes, "_numbers", itertools.count())
        monkeypatch.setattr(processes, "_stops", itertools.count(1))
        monkeypatch.setattr(processes, "_stop", "stepfit/stop/0")
        monkeypatch.setattr(jax, "process_index", lambda: number)
        monkeypatch.setattr(jax, "process_count", lambda: 2)
        return found

    return enter


def test_one_process_agrees_with_itself():
    assert not processes.several() and processes.is_first()
    assert processes.agreed({"a": 1}) == {"a": 1}


def test_all_take_what_the_first_says(service):
    service(1, 7)
    assert processes.agreed(3) == 7 and not processes.is_first()
    first = service(0)
    assert processes.agreed([1, None]) == [1, None]
    assert list(first.kept.values()) == ["[1, null]"]


def test_old_messages_are_removed(service):
    first = service(0)
    for number in range(200):
        processes.agreed(number)
    assert len(first.kept) <= 65


def test_the_plan_is_that_of_the_first(service):
    service(1, vars(processes.Plan(32, [5, [0]], 15, False, 4)))
    plan = processes.Plan(1, [None, []], None, False, 4).agree("train pass, epoch 1")
    assert (plan.most, plan.look, plan.stop, plan.over) == (32, [5, [0]], 15, False)


@pytest.mark.parametrize(
    "theirs, mine, text",
    [
        (-5, 3, "process 0 at the end, after 4 steps and process 1 after 3 steps"),
        (6, -4, "process 0 after 6 steps and process 1 at the end, after 3 steps"),
    ],
)
def test_who_has_other_batches_is_told(service, theirs, mine, text):
    service(1, vars(processes.Plan(done=theirs)))
    with pytest.raises(errors.StepfitRuntimeError) as caught:
        processes.Plan(done=mine).agree("train pass, epoch 2")
    assert str(caught.value) == (
        f"train pass, epoch 2: expected all processes to be at one step, found {text}; give each "
        "process as many batches as the others."
    )


def test_a_lost_process_is_reported(service):
    service(1)
    with pytest.raises(errors.StepfitRuntimeError) as caught:
        processes.agreed(1)
    assert str(caught.value) == (
        "process 1 of 2: expected all processes to train on, found that one is gone (UNAVAILABLE: "
        "failed to connect); the first error is in the output of the process that ended first. Run "
        "the script again: with BackupAndRestore it goes on from the last backup."
    )
    assert processes.is_loss(jax.errors.JaxRuntimeError("Gloo AllReduce failed"))
    assert not processes.is_loss(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"))
    assert not processes.is_loss(ValueError("gloo"))


def test_a_signal_reaches_the_first_and_is_forgotten_after_the_stop(service):
    service(0)
    assert processes.asked_to_stop() is None
    processes.ask_to_stop(15)
    assert processes.asked_to_stop() == 15
    processes.note_stop()
    assert processes.asked_to_stop() is None


@pytest.mark.parametrize("own, of_another, found", [(None, None, None), (2, 15, 2), (None, 15, 15)])
def test_a_signal_after_the_last_step_is_that_of_any_process(service, own, of_another, found):
    first = service(0)
    if of_another is not None:
        processes.ask_to_stop(of_another)
    assert processes.last_stop(own) == found
    assert first.barriers == ["stepfit/barrier/0"]
    assert processes.asked_to_stop() is None
    second = service(1, found)
    assert processes.last_stop(own) == found
    assert second.kept == ({} if own is None else {"stepfit/stop/0": str(own)})


def test_processes_without_a_distribution_are_warned_of_once(service, monkeypatch):
    service(0)
    fit_loop._warn_of_copies.cache_clear()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning) as caught:
        model.fit([[1.0, 2.0]], [[1.0]], verbose=0)
        model.fit([[1.0, 2.0]], [[1.0]], verbose=0)
    assert [str(w.message) for w in caught] == [
        "fit: expected a distribution, as there are several processes, found none that spans them: "
        "each process trains a model of its own. Pass "
        "compile(distribution=keras.distribution.DataParallel()), or call set_distribution."
    ]
