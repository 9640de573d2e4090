"""Bounding boxes beside Keras's."""

import keras
import numpy as np
import pytest

from stepfit.utils import bounding_boxes as ours
from tests.expect import refused

theirs = keras.utils.bounding_boxes
RNG = np.random.RandomState(0)
CORNERS = RNG.uniform(0, 20, (2, 5, 2))
XYXY = np.concatenate([CORNERS, CORNERS + RNG.uniform(1, 15, (2, 5, 2))], -1).astype("float32")
SIZE = {"height": 30, "width": 40}
SHAPE = (30, 40, 3)


def close(a, b):
    assert np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("number", range(len(ours.FORMATS)))
def test_formats(number):
    source, target = ours.FORMATS[number - 1], ours.FORMATS[number]  # each is both, once
    boxes = np.asarray(theirs.convert_format(XYXY, "xyxy", source, **SIZE))
    found = ours.convert_format({"boxes": boxes, "labels": 1}, source.upper(), target, **SIZE)
    close(found["boxes"], theirs.convert_format(boxes, source, target, **SIZE))
    assert found["labels"] == 1
    np.testing.assert_array_equal(ours.convert_format(boxes, source, source, **SIZE), boxes)


@pytest.mark.parametrize("name", ["center_xywh"])
@pytest.mark.parametrize("batched", [(0, 0), (1, 1), (1, 0)])
def test_overlaps(name, batched):
    a, b = ((XYXY, XYXY[0])[not one] for one in batched)
    a, b = (np.asarray(theirs.convert_format(x, "xyxy", name, **SIZE)) for x in (a, b[..., :4, :]))
    for options in ({}, {"use_masking": True, "mask_val": -3})[: 1 + (a.ndim == b.ndim)]:
        found = ours.compute_iou(a, b, name, image_shape=SHAPE, **options)
        close(found, theirs.compute_iou(a, b, name, image_shape=SHAPE, **options))
    if a.shape[:-2] == b.shape[:-2]:
        pairs = a[..., :4, :], b[..., ::-1, :]
        close(ours.compute_ciou(*pairs, name), theirs.compute_ciou(*pairs, name))


def test_masking_of_boxes_that_stand_for_none():
    a, b = XYXY[0].copy(), XYXY[1]
    a[2] = -1
    found = ours.compute_iou(a, b, "xyxy", use_masking=True)
    close(found, theirs.compute_iou(a, b, "xyxy", use_masking=True))
    assert (np.asarray(found)[2] == -1).all()


def test_cutting_and_moving():
    labels = np.arange(10, dtype="int32").reshape(2, 5)
    boxes = {"boxes": XYXY - 8, "labels": labels}
    for name, options in (("xyxy", {"height": 9, "width": 6}), ("rel_xyxy", {})):
        found = ours.clip_to_image_size(boxes, bounding_box_format=name, **options)
        expected = theirs.clip_to_image_size(boxes, bounding_box_format=name, **options)
        for key in ("boxes", "labels"):
            close(found[key], expected[key])
    close(ours.crop(XYXY, 3, 4, 10, 12), theirs.crop(XYXY, 3, 4, 10, 12))
    close(ours.pad(XYXY, 3, 4), theirs.pad(XYXY, 3, 4))


@pytest.mark.parametrize("encoding", ["center_yxhw", "center_xywh"])
@pytest.mark.parametrize("variance", [None, [0.1, 0.1, 0.2, 0.2]])
def test_offsets_from_anchors(encoding, variance):
    anchors, boxes = XYXY[0], XYXY
    formats = ("xyxy", "xyxy", encoding, variance, SHAPE)
    deltas = ours.encode_box_to_deltas(anchors, boxes, *formats)
    close(deltas, theirs.encode_box_to_deltas(anchors, boxes, *formats))
    close(ours.decode_deltas_to_boxes(anchors, deltas, *formats), boxes)
    levels = ours.decode_deltas_to_boxes({"a": anchors}, {"a": deltas}, *formats)
    close(levels["a"], boxes)


BAD = [
    (lambda: ours.convert_format(XYXY, "xyxy", "yxy"),
     "convert_format(target): expected the name of a box format, found 'yxy'; did you mean "
     "'yxyx'?"),
    (lambda: ours.convert_format(XYXY, "rel_xyxy", "xyxy"),
     "convert_format(height, width): expected the size of the image for a relative format, found "
     "None; pass both."),
    (lambda: ours.convert_format(np.ones(3), "xyxy", "yxyx"),
     "convert_format(boxes): expected shape (..., 4), found shape (3,)."),
    (lambda: ours.clip_to_image_size({"boxes": XYXY}),
     "clip_to_image_size(height, width): expected the size of the image, found None; pass both."),
    (lambda: ours.crop(XYXY, 0, 0, 1, 1, "xywh"),
     "crop(bounding_box_format): expected 'xyxy', found 'xywh'; convert_format makes it of "
     "others."),
    (lambda: ours.compute_iou(XYXY[0, 0], XYXY, "xyxy"),
     "compute_iou(boxes1): expected shape (count, 4) or (batch, count, 4), found float32[4]."),
    (lambda: ours.encode_box_to_deltas(XYXY, XYXY, "xyxy", "xyxy", "xyxy"),
     "encode_box_to_deltas(encoding_format): expected the name of an encoding, found 'xyxy'; known "
     "names: 'center_xywh', 'center_yxhw'."),
    (lambda: ours.decode_deltas_to_boxes(XYXY, XYXY, "xyxy", "xyxy", variance=[1, 2]),
     "decode_deltas_to_boxes(variance): expected four numbers, found list of 2 elements."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[row[1][:40] for row in BAD])
def test_message(call, text):
    refused(call, ValueError, text)
