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

ATTRIBUTES = {  # of models and optimizers in tf.keras: what to write
    "compiled_loss": "write self.compute_loss(y=y, y_pred=y_pred)",
    "compiled_metrics": "write self.compute_metrics(x, y, y_pred)",
    "evaluate_generator": "write evaluate(...), which takes generators",
    "fit_generator": "write fit(...), which takes generators",
    "minimize": (
        "compute the gradients with keras.GradientTape or keras.value_and_grad, and write "
        "optimizer.apply(gradients, variables)"
    ),
    "predict_classes": "write numpy.argmax(model.predict(x), axis=-1)",
    "predict_generator": "write predict(...), which takes generators",
}
