"""Layers that prepare data: in a model, in a data pipeline, and alone."""

from stepfit.layers.preprocessing.affine import RandomRotation, RandomTranslation, RandomZoom
from stepfit.layers.preprocessing.category_encoding import CategoryEncoding
from stepfit.layers.preprocessing.colors import RandomBrightness, RandomContrast
from stepfit.layers.preprocessing.crops import CenterCrop, RandomCrop
from stepfit.layers.preprocessing.discretization import Discretization
from stepfit.layers.preprocessing.flips import RandomFlip
from stepfit.layers.preprocessing.hashed_crossing import HashedCrossing
from stepfit.layers.preprocessing.hashing import Hashing
from stepfit.layers.preprocessing.integer_lookup import IntegerLookup
from stepfit.layers.preprocessing.mel_spectrogram import MelSpectrogram
from stepfit.layers.preprocessing.normalization import Normalization
from stepfit.layers.preprocessing.pipeline import Pipeline
from stepfit.layers.preprocessing.rescaling import Rescaling
from stepfit.layers.preprocessing.resizing import Resizing
from stepfit.layers.preprocessing.stft_spectrogram import STFTSpectrogram
from stepfit.layers.preprocessing.string_lookup import StringLookup
from stepfit.layers.preprocessing.text_vectorization import TextVectorization

__all__ = [
    "CategoryEncoding",
    "CenterCrop",
    "Discretization",
    "HashedCrossing",
    "Hashing",
    "IntegerLookup",
    "MelSpectrogram",
    "Normalization",
    "Pipeline",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "Rescaling",
    "Resizing",
    "STFTSpectrogram",
    "StringLookup",
    "TextVectorization",
]
