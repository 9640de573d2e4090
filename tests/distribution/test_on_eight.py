"""Eight simulated devices: the numbers of one, and a part of the memory."""

import pytest

from tests.distribution.models import MODELS
from tests.distribution.run import on_eight

KINDS = ("data", "sharded", "data_tensor", "sharded_tensor")
SHORT = ("mlp:sharded", "cnn:data:fit", "gan:data_tensor:fit")
ALL = [f"{name}:{kind}" for name in MODELS for kind in KINDS]
# The share of one device's bytes that a device may hold at most; by distribution.
SHARES = {"data": 1.0, "sharded": 0.25, "data_tensor": 0.55, "sharded_tensor": 0.55}
# No layer of these GANs has many weights; the map of layouts does not name them.
ALIKE = {"gan": (1.0, 1.0), "stateless_gan": (1.0, 1.0)}


def check(case, found):
    name, kind, *_ = case.split(":")
    assert found["results"] < 1e-5, case  # curves, evaluate, predict, and single batches
    assert found["weights"] < 1e-5, case  # and the optimizers' state
    assert found["one"]["devices"] == 1 and found["many"]["devices"] == 8
    share = SHARES[kind]
    for part, most in zip(("weight_bytes", "state_bytes"), ALIKE.get(name, (share, share))):
        assert found["many"][part] <= most * found["one"][part], (case, part)


def test_numbers_are_those_of_one_device_and_memory_is_shared():
    found = on_eight("pairs", *SHORT)
    assert list(found) == list(SHORT)
    for case in SHORT:
        check(case, found[case])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_model_with_every_distribution(name):
    cases = [case for case in ALL if case.startswith(f"{name}:")]
    found = on_eight("pairs", *cases, timeout=1200)
    for case in cases:
        check(case, found[case])


@pytest.fixture(scope="module")
def more():
    return on_eight("more", "layouts", "scope", "reshard", "backup")


@pytest.fixture(scope="module")
def slow():
    return on_eight("more", "steps", "options", "autopsy", "guide")


def test_outputs_and_tensors_are_spread_by_their_layouts(more):
    assert more["layouts"] == {
        "output": "P('batch', 'model')",
        "inside": "P(None, 'model')",
        "error": "distribute_tensor(layout): expected axis 0 of a size that 'model', 4 devices, "
        "divides, found shape (2, 8); give this axis None in its layout.",
    }


def test_models_are_made_in_parts_and_stay_so(more):
    assert more["scope"] == {
        "built": "P(None, 'batch')", "alone": "P(None, 'batch')", "after": "P(None, 'batch')",
        "moment": "P(None, 'batch')", "shapes": [[16, 64], [64]], "called": [4, 1], "held": 512,
    }  # fmt: skip


def test_setting_a_distribution_spreads_a_model_anew(more):
    assert more["reshard"] == {"devices": [1, 8, 2, 1], "state": [1, 8, 2, 1]}


def test_a_backup_of_eight_devices_goes_on_with_two(more):
    assert more["backup"]["devices"] == 2
    assert more["backup"]["resumed"] == pytest.approx(more["backup"]["whole"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["resident", "hooks", "eager"])
def test_every_way_of_running_steps(slow, how):
    assert slow["steps"][how] < 1e-5
    assert slow["steps"]["seen"] == 2


@pytest.mark.slow
def test_weights_of_samples_and_classes_accumulation_averages_and_odd_batches(slow):
    assert slow["options"] < 1e-5


@pytest.mark.slow
def test_a_bad_batch_is_found(slow):
    assert slow["autopsy"] == {"batch": 1, "rows": [4], "finite": True}


@pytest.mark.slow
def test_the_calls_of_the_guide_run(slow):
    (first, copied), (second, spread) = slow["guide"]
    assert second == pytest.approx(first, rel=1e-5)
    assert (copied, spread) == ("P(None, None)", "P(None, 'model')")
