"""Names of Keras that stepfit has not, so that a script is told so, and not of a similar name.

`docs/differences.md` gives the reason for each; a test compares this table with Keras.
"""

NAMES = {
    "stepfit": (
        "Function", "Operation", "Quantizer", "SymbolicScope", "applications", "distillation",
        "export", "legacy", "quantizers",
    ),
    "stepfit.layers": (
        "AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix",
        "Equalization", "MaxNumBoundingBoxes", "MixUp", "RandAugment", "RandomColorDegeneration",
        "RandomColorJitter", "RandomElasticTransform", "RandomErasing", "RandomGaussianBlur",
        "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective",
        "RandomPosterization", "RandomSaturation", "RandomSharpness", "RandomShear",
        "Solarization", "TFSMLayer", "TorchModuleWrapper",
    ),
    "stepfit.optimizers": ("legacy",),
    "stepfit.saving": ("KerasFileEditor",),
    "stepfit.utils": ("FeatureSpace", "legacy"),
}  # fmt: skip
