"""Every example runs, with small settings, and shows what it says it shows."""

import importlib
import inspect
import pathlib

import numpy as np
import pytest

import stepfit as keras

image = pytest.importorskip("matplotlib.image")
EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


@pytest.fixture
def load(monkeypatch):
    """Import an example by name, as Python does for a script in its folder."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module


def falls(values):
    assert np.isfinite(values).all()
    assert values[-1] < values[0]


def is_picture(path):
    pixels = image.imread(path)
    return path.suffix == ".png" and min(pixels.shape[:2]) > 80 and pixels[..., :3].std() > 0.05


def test_every_example_is_tested_here():
    tests = inspect.getsource(importlib.import_module(__name__))
    missing = [p.stem for p in EXAMPLES.glob("*.py") if f'load("{p.stem}")' not in tests]
    assert missing == []


def test_custom_step_in_both_styles(load):
    stateless, results = load("custom_step_stateless").main(["--epochs", "3"])
    tape, tape_results = load("custom_step_tape").main(["--epochs", "3"])
    falls(stateless["loss"])
    assert results["accuracy"] > 0.9
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(stateless[name], tape[name], rtol=1e-3)
        np.testing.assert_allclose(results[name], tape_results[name], rtol=1e-3)


def test_sample_and_class_weights(load):
    accuracy, called_8 = load("sample_and_class_weights").main(["--epochs", "12"])
    assert accuracy["doubtful ones 0.05"] > accuracy["all alike"]
    assert accuracy["doubtful ones 0.05"] > 0.94
    assert called_8["8 counts 5 times"] > called_8["all alike"]


def test_own_evaluation_step(load):
    results = load("own_evaluation_step").main(["--epochs", "6"])
    assert results["TapeStyle"] == pytest.approx(results["Stateless"], rel=1e-5)
    # The loss is convex: that of a mean is at most the mean of the losses.
    assert results["TapeStyle"]["loss"] < results["one by one"]["loss"]


def drawn_like_digits(samples):
    """Random codes give different images, and the corners of most are white, as of real digits."""
    assert np.isfinite(samples).all()
    assert samples.std(axis=0).mean() > 0.01
    assert samples[:, :, 0].mean() < 0.3 < samples[:, :, 3:5].mean()


@pytest.mark.parametrize("style", ["tape", "stateless"])
def test_gan(load, tmp_path, style):
    main = load("gan_tape").main if style == "tape" else load("gan_stateless").main
    history, samples, path = main(["--epochs", "4", "--out", str(tmp_path)])
    assert set(history) == {"d_loss", "g_loss"}
    assert np.isfinite(history["d_loss"]).all()
    assert history["d_loss"][0] < np.log(2)  # the discriminator learns
    drawn_like_digits(samples)
    assert is_picture(path)


def test_gan_of_images(load, tmp_path):
    small = ["--batches", "3", "--batch-size", "16", "--filters", "8", "--out", str(tmp_path)]
    history, samples, path = load("gan_images").main(small)
    assert np.isfinite(history["d_loss"]).all() and samples.shape == (40, 28, 28, 1)
    assert is_picture(path)


def test_stateless_gan_is_short_and_takes_values_by_owner(load):
    source = inspect.getsource(load("gan_stateless").GAN.train_step)
    assert source.count("\n") <= 40
    assert "[:" not in source and ":]" not in source
    assert "state.of(self.d_optimizer)" in source and "state.replace(self.generator" in source


def test_loop_from_scratch(load):
    results = load("loop_from_scratch").main(["--epochs", "3"])
    history, accuracy = results["with_stepfit_optimizer"]
    falls([-value for value in history])
    assert accuracy > 0.9
    history, accuracy = results["with_optax"]
    falls(history)
    assert accuracy > 0.9


def test_add_loss(load):
    results, evaluated, by_hand = load("add_loss").main(["--epochs", "4"])
    assert evaluated == pytest.approx(by_hand, rel=1e-4)
    falls(results[0.01][0])
    assert results[0.01][1] < results[0.0][1]  # sparser


def test_vae(load, tmp_path):
    history, path = load("vae").main(["--epochs", "4", "--out", str(tmp_path)])
    assert set(history) == {
        f"{prefix}{name}" for prefix in ("", "val_") for name in ("loss", "reconstruction", "kl")
    }
    falls(history["loss"])
    falls(history["val_loss"])
    total = np.add(history["reconstruction"], history["kl"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-4)
    assert is_picture(path)


def test_distillation(load):
    accuracy = load("distillation").main(["--epochs", "8"])
    assert accuracy["teacher"] > 0.95
    assert accuracy["taught"] > accuracy["alone"]


def test_gradient_penalty_by_tape_and_by_grad(load, tmp_path):
    example = load("gradient_penalty")
    images = keras.datasets.digits.load_data()[0][0][:64].astype("float32") / 16
    logs = {}
    for inner in ("tape", "grad"):
        keras.utils.set_random_seed(0)
        wgan = example.make_wgan(inner)
        logs[inner] = [wgan.train_on_batch(images, return_dict=True) for _ in range(5)][-1]
    assert logs["tape"] == pytest.approx(logs["grad"], rel=1e-3)

    history, path = example.main(["--epochs", "4", "--out", str(tmp_path)])
    assert set(history) == {"distance", "penalty"}  # no loss was compiled, none is reported
    falls(history["penalty"])
    assert is_picture(path)


def test_demo_writes_its_pictures_and_says_when_it_falls_short(load, tmp_path, capsys):
    arguments = ["--epochs", "1", "--gan-epochs", "3", "--out", str(tmp_path)]
    assert load("demo").main(arguments) == 1
    out, err = capsys.readouterr()
    assert "Test accuracy: " in out and "val_accuracy: " in out
    assert err == "The test accuracy is below 98%.\n"
    for name in ("curves", "predictions", "gan_samples"):
        assert is_picture(tmp_path / f"{name}.png")
        assert f"{name}.png" in out


@pytest.mark.slow
def test_demo_reaches_its_target(load, tmp_path):
    assert load("demo").main(["--gan-epochs", "1", "--out", str(tmp_path)]) == 0


def test_save_grid(load, tmp_path):
    images = np.stack([np.eye(8)] * 12)
    path = load("pictures").save_grid(images, tmp_path / "new" / "grid.png")
    assert is_picture(path)
