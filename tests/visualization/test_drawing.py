"""Boxes and masks drawn on images, galleries, and graphs of models."""

import os

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

import stepfit
from stepfit import utils, visualization
from tests.expect import refused

RNG = np.random.RandomState(0)
IMAGES = RNG.randint(0, 256, (2, 12, 16, 3)).astype("uint8")
MASKS = RNG.randint(-1, 4, (2, 12, 16, 1)).astype("int32")


@pytest.mark.parametrize("options", [
    {"num_classes": 4}, {"alpha": 0.3}, {"num_classes": 4, "blend": False},
    {"num_classes": 4, "color_mapping": {0: [1, 2, 3], 1: [9, 9, 9], 2: [0, 0, 0], 3: [5, 6, 7]}},
    {"num_classes": 4, "ignore_index": 2}, {"num_classes": 3, "data_format": "channels_first"},
], ids=str)  # fmt: skip
def test_masks_are_those_of_keras(options):
    images, masks = IMAGES, MASKS
    if "data_format" in options:
        images, masks = images.transpose(0, 3, 1, 2), masks.transpose(0, 3, 1, 2)
    found = visualization.draw_segmentation_masks(images, masks, **options)
    theirs = np.asarray(keras.visualization.draw_segmentation_masks(images, masks, **options))
    assert (found.dtype, found.shape) == (theirs.dtype, theirs.shape)
    np.testing.assert_allclose(found.astype(int), theirs.astype(int), atol=1)


def boxes(**more):
    return {"boxes": np.array([[[2, 3, 8, 9]], [[0, 0, 4, 4]]]), "labels": np.array([[1], [-1]]),
            **more}  # fmt: skip


def test_boxes_are_lines_around_what_they_hold():
    images = np.zeros((2, 12, 16, 3), "uint8")
    found = visualization.draw_bounding_boxes(images, boxes(), "xyxy", color=(1, 2, 3),
                                              line_thickness=1)  # fmt: skip
    expected = images.copy()
    expected[0, [3, 9], 2:9] = expected[0, 3:10, 2] = expected[0, 3:10, 8] = (1, 2, 3)
    np.testing.assert_array_equal(found, expected)  # none where the label is -1
    assert not images.any()
    relative = boxes(boxes=boxes()["boxes"] / [16, 12, 16, 12])
    again = visualization.draw_bounding_boxes(
        images.transpose(0, 3, 1, 2) / 1.0, relative, "rel_xyxy", color=(1, 2, 3),
        line_thickness=1, data_format="channels_first",
    )  # fmt: skip
    np.testing.assert_array_equal(again, expected)


def test_names_and_confidences_are_written():
    images = np.zeros((2, 80, 120, 1))
    place = {"boxes": np.array([[[10, 40, 60, 70]]] * 2)}
    drawn = [
        visualization.draw_bounding_boxes(images, boxes(**place, **more), "xyxy", names)
        for more, names in (
            ({}, None), ({}, {1: "cat"}), ({"confidences": [[0.5], [1]]}, {1: "cat"}),
        )
    ]  # fmt: skip
    inks = [int((d > 0).sum()) for d in drawn]
    assert inks[0] < inks[1] < inks[2]
    np.testing.assert_array_equal(drawn[0][0, 40:], drawn[2][0, 40:])  # above the box


@pytest.fixture
def figures(monkeypatch):
    """What is shown: `(image, title)` of each axis that has something, and the legend."""
    found = []

    def show():
        figure = plt.gcf()
        pictures = [(a.images[0].get_array(), a.get_title()) for a in figure.axes if a.images]
        legend = [t.get_text() for leg in figure.legends for t in leg.get_texts()]
        found.append((pictures, legend, len(figure.axes)))

    monkeypatch.setattr(plt, "show", show)
    return found


def test_a_gallery_of_images(figures, tmp_path):
    names = {0: "cat", 1: "dog"}
    many = np.concatenate([IMAGES, IMAGES, IMAGES[:1]]) / 127.5 - 1
    visualization.plot_image_gallery(many, [0, 1, 7, 0, 1], [1, 1, 0, 0, 1], names,
                                     value_range=(-1, 1))  # fmt: skip
    (pictures, _, axes), = figures  # fmt: skip
    assert axes == 6 and len(pictures) == 5
    assert [title for _, title in pictures[:3]] == [
        "Label: cat  Pred: dog", "Label: dog  Pred: dog", "Label: Unknown  Pred: cat"
    ]  # fmt: skip
    np.testing.assert_allclose(pictures[0][0].astype(int), IMAGES[0].astype(int), atol=1)
    before = plt.get_fignums()  # of tests elsewhere
    visualization.plot_image_gallery(IMAGES, rows=1, path=tmp_path / "a.png")
    assert utils.load_img(tmp_path / "a.png").size[0] > 100 and len(figures) == 1
    assert plt.get_fignums() == before


def test_galleries_of_boxes_and_masks(figures):
    visualization.plot_bounding_box_gallery(IMAGES, "xyxy", boxes(), boxes(), legend=True)
    visualization.plot_segmentation_mask_gallery(IMAGES, 4, y_true=MASKS, y_pred=MASKS)
    (of_boxes, legend, _), (of_masks, _, axes) = figures
    assert legend == ["Ground Truth", "Prediction"] and len(of_boxes) == 2
    assert (of_boxes[0][0][3, 3] == (255, 235, 59)).all()
    assert axes == 6
    painted = visualization.draw_segmentation_masks(IMAGES, MASKS, 4)
    for row, column, expected in ((0, 0, IMAGES), (1, 1, painted), (1, 2, painted)):
        np.testing.assert_array_equal(of_masks[3 * row + column][0], expected[row])


BAD = [
    (lambda: visualization.draw_bounding_boxes(IMAGES[0], boxes(), "xyxy"),
     "draw_bounding_boxes(images): expected a batch of images, 4 axes, found shape (12, 16, 3)."),
    (lambda: visualization.draw_bounding_boxes(IMAGES, {"boxes": 1}, "xyxy"),
     "draw_bounding_boxes(bounding_boxes): expected a dict with 'boxes' and 'labels', found dict "
     "with keys ['boxes']."),
    (lambda: visualization.draw_segmentation_masks(IMAGES, MASKS * 1.0),
     "draw_segmentation_masks(segmentation_masks): expected integers, found dtype float64."),
    (lambda: visualization.plot_image_gallery(IMAGES, [0, 1]),
     "plot_image_gallery(label_map): expected a dict from label to name, found None."),
    (lambda: visualization.plot_image_gallery(IMAGES, path="a", show=True),
     "plot_image_gallery(path, show): expected one of them, found both."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[row[1][:40] for row in BAD])
def test_message(call, text):
    refused(call, (ValueError, TypeError), text)


# -- graphs of models ------------------------------------------------------------------------------


def model():
    layers = stepfit.layers
    inputs = stepfit.Input((8,), name="features")
    inner = [stepfit.Input((4,)), layers.Dense(4, "relu", name="a"), layers.Dense(2, name="b")]
    x = layers.add([layers.Dense(4, name="x")(inputs), layers.Dense(4, name="<y>")(inputs)])
    frozen = layers.Dense(3, trainable=False, name="frozen")
    return stepfit.Model(inputs, frozen(stepfit.Sequential(inner, name="inner")(x * 2)))


def edges(dot, found=None):
    """Lines of a graph as pairs of titles of boxes."""
    titles, pairs = {}, []

    def visit(graph):
        for node in graph.get_nodes():
            if node.get_label():
                titles[node.get_name()] = node.get_label().split("<b>")[1].split("</b>")[0]
        pairs.extend((e.get_source(), e.get_destination()) for e in graph.get_edges())
        for part in graph.get_subgraphs():
            visit(part)

    visit(dot)
    return sorted((titles[a.strip('"')], titles[b.strip('"')]) for a, b in pairs)


def test_a_graph_has_the_lines_of_the_model():
    flat = edges(utils.model_to_dot(model()))
    assert flat == sorted([
        ("features (InputLayer)", "x (Dense)"), ("features (InputLayer)", "&lt;y&gt; (Dense)"),
        ("x (Dense)", "add (Add)"), ("&lt;y&gt; (Dense)", "add (Add)"), ("add (Add)", "multiply"),
        ("multiply", "inner (Sequential)"), ("inner (Sequential)", "frozen (Dense)"),
    ])  # fmt: skip
    nested = edges(utils.model_to_dot(model(), expand_nested=True))
    assert {("multiply_1", "a (Dense)"), ("a (Dense)", "b (Dense)"),
            ("b (Dense)", "frozen (Dense)")} <= set(nested)  # fmt: skip


def test_what_boxes_say():
    shown = ("shapes", "dtype", "layer_activations", "trainable")
    options = {f"show_{name}": True for name in shown}
    text = utils.model_to_dot(model(), rankdir="LR", **options).to_string()
    for part in ("in: (None, 4), (None, 4)", "out: (None, 4)", "dtype: float32", "frozen",
                 "trainable", "activation: linear", "rankdir=LR"):  # fmt: skip
        assert part in text
    subclassed = type("Own", (stepfit.Model,), {"call": lambda self, x: x})(name="own")
    subclassed(np.ones((1, 2)))
    assert "own (Own)" in utils.model_to_dot(subclassed).to_string()


def test_drawings_in_files(tmp_path, monkeypatch):
    utils.plot_model(model(), tmp_path / "m.dot")
    assert (tmp_path / "m.dot").read_text().startswith("digraph")
    program = tmp_path / "bin" / "dot"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "drawn $1"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    utils.plot_model(model(), tmp_path / "m.svg", show_layer_names=True)
    assert (tmp_path / "m.svg").read_text() == "drawn -Tsvg"
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ImportError) as error:
        utils.plot_model(model(), tmp_path / "n.png")
    assert str(error.value) == (
        "plot_model: expected the program `dot` of Graphviz, found none; install it "
        "(https://graphviz.org/download), or write a .dot file."
    )
    assert not (tmp_path / "n.png").exists()


def test_messages_of_graphs():
    with pytest.raises(ValueError) as error:
        utils.model_to_dot(stepfit.Sequential([stepfit.layers.Dense(1)]))
    assert str(error.value) == (
        "model_to_dot(model): expected a model that is built, found one that is not; call it on "
        "data, or build(input_shape)."
    )
    with pytest.raises(TypeError) as error:
        utils.model_to_dot(model(), show_shape=True)
    assert str(error.value) == (
        "model_to_dot(...): expected the name of an argument, found 'show_shape'; did you mean "
        "'show_shapes'?"
    )
