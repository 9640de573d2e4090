"""One row per call of an image op: name, positional arguments, keyword arguments."""

import numpy as np

rng = np.random.default_rng(0)
BATCH = rng.uniform(size=(2, 6, 5, 3)).astype("float32")
ONE, FIRST = BATCH[0], BATCH.transpose(0, 3, 1, 2)
BYTES = rng.integers(0, 256, (2, 6, 5, 3)).astype("uint8")
HALF = BATCH.astype("float16")
PLANE = BATCH[0, :, :, 0]
VOLUME = rng.uniform(size=(2, 4, 5, 4, 2)).astype("float32")
CHANNELS_FIRST = {"data_format": "channels_first"}

TURN = np.array([0.83, -0.42, 1.37, 0.51, 0.88, -0.71, 0, 0], "float32")
TURNS = np.stack([TURN, [1.31, 0.13, -0.92, -0.23, 0.73, 2.37, 0, 0]]).astype("float32")
CORNERS = np.array([[0, 0], [4, 0], [0, 5], [4, 5]], "float32")
MOVED = np.array([[0.3, 0.4], [3.7, -0.2], [-0.6, 4.1], [4.4, 5.3]], "float32")
PLACES = rng.uniform(-4, 9, (2, 4, 3)).astype("float32")
FILLS = ("constant", "nearest", "wrap", "mirror", "reflect")
SCALE, SHIFT = np.array([1.7, 0.6], "float32"), np.array([-0.4, 0.8], "float32")

ROWS = [
    *[("rgb_to_grayscale", (x,), k) for x, k in
      [(BATCH, {}), (ONE, {}), (FIRST, CHANNELS_FIRST), (BYTES, {}), (HALF, {}),
       (BATCH[..., :1], {})]],
    *[(name, (x,), k) for name in ("rgb_to_hsv", "hsv_to_rgb") for x, k in
      [(BATCH, {}), (ONE, {}), (FIRST, CHANNELS_FIRST), (HALF, {}),
       (BATCH.round(), {})]],  # grey and black pixels too
    # Sizes.
    *[("resize", (x, (4, 7)), {"interpolation": i, "antialias": a})
      for i in ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
      for x, a in ((BATCH, False), (BYTES, False), (BATCH, True))],
    ("resize", (ONE, (3, 8)), {}),
    ("resize", (HALF, (3, 8)), {"antialias": True}),
    ("resize", (BYTES.astype("int32") * 1000, (9, 4)), {"interpolation": "bicubic"}),
    ("resize", (BYTES.astype("int8"), (9, 4)), {"interpolation": "lanczos3"}),
    *[("resize", (x, size), {how: True, **k})
      for how in ("crop_to_aspect_ratio", "pad_to_aspect_ratio")
      for x, size, k in
      [(BATCH, (4, 7), {}), (ONE, (7, 3), {"fill_value": 0.5}),
       (BYTES, (9, 2), {"fill_value": 7, "interpolation": "nearest"}), (BYTES[0], (3, 8), {}),
       (FIRST, (2, 9), CHANNELS_FIRST), (FIRST[0], (9, 2), {"fill_value": 2.0, **CHANNELS_FIRST})]],
    ("pad_images", (BATCH, 1, 2, 3, 4), {}),
    ("pad_images", (BYTES[0],), {"bottom_padding": 1, "right_padding": 0, "target_height": 9,
                                 "target_width": 6}),
    ("pad_images", (FIRST, 1, 0), {"target_height": 8, "target_width": 5, **CHANNELS_FIRST}),
    ("crop_images", (BATCH, 1, 2, 3, 1), {}),
    ("crop_images", (BYTES[0],), {"bottom_cropping": 1, "right_cropping": 0, "target_height": 2,
                                  "target_width": 4}),
    ("crop_images", (FIRST, 1, 0), {"target_height": 3, "target_width": 5, **CHANNELS_FIRST}),
    *[("scale_and_translate", (PLANE, (7, 4), SCALE, SHIFT, (0, 1), method), {"antialias": a})
      for method, a in (("linear", True), ("bicubic", False), ("lanczos3", True),
                        ("lanczos5", False))],
    ("scale_and_translate", (BATCH, (2, 4, 7, 3), SCALE, SHIFT, (2, 1), "linear"), {}),
    ("scale_and_translate", (BYTES, (2, 4, 7, 3), SCALE, SHIFT, (1, 2), "cubic"), {}),
    # Patches.
    ("extract_patches", (BATCH, 2), {}),
    ("extract_patches", (ONE, (3, 2)), {"strides": 1, "padding": "same"}),
    ("extract_patches", (BATCH, (2, 3)), {"strides": (2, 1), "padding": "same"}),
    ("extract_patches", (BYTES, 2), {"dilation_rate": 2, "strides": 1}),
    ("extract_patches", (FIRST, 2), CHANNELS_FIRST),
    ("extract_patches", (VOLUME, (2, 3, 2)), {}),
    ("extract_patches_3d", (VOLUME, 2), {}),
    ("extract_patches_3d", (VOLUME[0], (1, 2, 3)), {"strides": 2, "padding": "same"}),
    ("extract_patches_3d", (VOLUME.transpose(0, 4, 1, 2, 3), 3), {"strides": (1, 2, 1),
                                                                 **CHANNELS_FIRST}),
    # Filters.
    *[("gaussian_blur", (x,), {"data_format": "channels_last", **k}) for x, k in
      [(BATCH, {}), (ONE, {"kernel_size": (5, 3), "sigma": (0.7, 2.0)}), (HALF, {}),
       (BATCH, {"kernel_size": (4, 7), "sigma": (2.0, 0.5)}),
       (FIRST, {"kernel_size": (3, 5), **CHANNELS_FIRST})]],
    ("sobel_edges", (BATCH,), {}),
    ("sobel_edges", (FIRST,), CHANNELS_FIRST),
    ("ssim", (BATCH, BATCH[::-1]), {"filter_size": 3}),
    ("ssim", (ONE, ONE**2), {"filter_size": 5, "filter_sigma": 0.8, "max_val": 2.0, "k1": 0.1}),
    ("ssim", (FIRST, FIRST[::-1]), {"filter_size": 4, "k2": 0.1, **CHANNELS_FIRST}),
    ("ssim", (HALF, HALF**2), {"filter_size": 3}),
    # Warps.
    *[("affine_transform", (BATCH, TURNS), {"interpolation": i, "fill_mode": f})
      for i in ("bilinear", "nearest") for f in FILLS],
    ("affine_transform", (ONE, TURN), {"fill_value": 0.7}),
    ("affine_transform", (FIRST, TURNS), CHANNELS_FIRST),
    ("affine_transform", (BYTES, TURNS), {"fill_mode": "reflect"}),
    ("affine_transform", (BYTES, TURNS), {"interpolation": "nearest", "fill_value": 9}),
    ("affine_transform", (HALF, TURNS), {}),
    *[("perspective_transform", (BATCH, np.stack([CORNERS, MOVED]), np.stack([MOVED, CORNERS])),
       {"interpolation": i}) for i in ("bilinear", "nearest")],
    ("perspective_transform", (ONE, CORNERS, MOVED), {"fill_value": 0.3}),
    ("perspective_transform", (BYTES[0].transpose(2, 0, 1), CORNERS, MOVED), CHANNELS_FIRST),
    *[("map_coordinates", (PLANE, PLACES, order), {"fill_mode": f, "fill_value": 0.5})
      for order in (0, 1) for f in FILLS],
    ("map_coordinates", (BYTES[0], rng.uniform(-1, 6, (3, 7)).astype("float32"), 1), {}),
]  # fmt: skip
