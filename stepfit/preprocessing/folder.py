"""What the functions for folders share: finding files, classes and labels, and taking a part."""

import os

import numpy as np

from stepfit.core import errors
from stepfit.preprocessing.samples import Samples, dataset, drawn, stack
from stepfit.utils.console import print_msg

LABEL_MODES = ("int", "categorical", "binary", None)
SUBSETS = ("training", "validation", "both", None)


class Folder:
    """The files of a folder, with their labels, in the order asked for.

    Args:
        where: the public function, for errors.
        directory: path.
        labels: "inferred" (the subfolder's number), None, or a list of ints, one per file in the
            order of sorted paths.
        label_mode: "int", "categorical" (one-hot), "binary" (0. or 1.), or None.
        class_names: subfolders to use, in that order; default all, sorted.
        suffixes: tuple of the files' suffixes.
        shuffle, seed: whether the files are put into a random order, and which.
        validation_split: share of the files, from the end of that order, for validation.
        subset: "training", "validation", "both", or None.
        follow_links: whether links to folders are followed.
        verbose: whether to say how many files were found.
    """

    def __init__(
        self, where, directory, labels, label_mode, class_names, suffixes, shuffle, seed,
        validation_split, subset, follow_links, verbose,
    ):  # fmt: skip
        self.where, self._suffixes = where, suffixes
        self.shuffle = shuffle
        _check_split(where, validation_split, subset, shuffle, seed)
        self.seed = drawn(seed)
        self._split, self._subset = validation_split, subset
        if label_mode not in LABEL_MODES:
            known = ("int", "categorical", "binary")
            raise errors.unknown_name(f"{where}(label_mode)", "label mode", label_mode, known)
        given = isinstance(labels, (list, tuple, np.ndarray))
        if not given and labels not in ("inferred", None):
            expected = "'inferred', None or a list of integers"
            raise errors.bad_value(f"{where}(labels)", expected, errors.describe(labels))
        if class_names and labels != "inferred":
            expected, fix = "None where labels are not inferred", "leave it out"
            raise errors.bad_value(f"{where}(class_names)", expected, "names", fix)
        inferred, unlabelled = isinstance(labels, str), labels is None or label_mode is None
        directory = os.fspath(directory)
        classes = self._classes(directory, class_names) if inferred and not unlabelled else [""]
        found = [
            (path, number)
            for number, name in enumerate(classes)
            for path in _files(os.path.join(directory, name), suffixes, follow_links)
        ]
        self._directory = directory
        self.paths = [path for path, _ in found]
        self.labels: np.ndarray | None = None
        self.class_names: list[str] | None = None
        self._label_mode: str | None = None
        if not unlabelled:
            self._label_mode = label_mode
            numbers = labels if given else [n for _, n in found]
            if len(numbers) != len(self.paths):
                expected = f"{len(self.paths)} labels, one for each file"
                raise errors.bad_value(f"{where}(labels)", expected, str(len(numbers)))
            self.labels = np.asarray(numbers, "int32")
            self.class_names = classes if not given else [str(n) for n in sorted(set(labels))]
            if label_mode == "binary" and len(self.class_names) != 2:
                expected = 'two classes for label_mode="binary"'
                raise errors.bad_value(where, expected, str(len(self.class_names)))
        if verbose:
            of = "" if unlabelled else f" belonging to {len(self.class_names or ())} classes"
            print_msg(f"Found {len(self.paths)} files{of}.")
        if shuffle:  # once, so that a split takes of all classes
            order = np.random.RandomState(self.seed % 2**32).permutation(len(self.paths))
            self.paths = [self.paths[i] for i in order]
            self.labels = None if self.labels is None else self.labels[order]

    def _classes(self, directory, class_names):
        present = sorted(
            name for name in os.listdir(directory)
            if os.path.isdir(os.path.join(directory, name)) and not name.startswith(".")
        )  # fmt: skip
        missing = [name for name in class_names or () if name not in present]
        if missing:
            kind = "subfolder"
            raise errors.unknown_name(f"{self.where}(class_names)", kind, missing[0], present)
        return list(class_names or present)

    def datasets(self, load, *, format, batch_size, workers=1, kind=None):
        """Return the dataset, or the two of ``subset="both"``.

        Args:
            load: function from a path to `x`.
            format, batch_size, workers: as in `samples.dataset`.
            kind: class of the samples; default `FileSamples`.
        """
        if not self._split:
            parts = [("", slice(None), self.shuffle)]
        else:
            count = int(self._split * len(self.paths))
            ends = {"training": slice(len(self.paths) - count),
                    "validation": slice(len(self.paths) - count, None)}  # fmt: skip
            names = list(ends) if self._subset == "both" else [self._subset]
            shuffled = self.shuffle
            parts = [(n, ends[n], shuffled and (n == "training" or len(names) == 1)) for n in names]
        made = []
        for name, part, shuffle in parts:
            paths = self.paths[part]
            if not paths:
                expected = f"files for {name}" if name else "files"
                expected += f" with one of the suffixes {', '.join(self._suffixes)}"
                raise errors.bad_value(self.where, expected, f"none in {self._directory!r}")
            if name:
                print_msg(f"Using {len(paths)} files for {name}.")
            labels = None if self.labels is None else self._encoded(self.labels[part])
            found = dataset(
                (kind or FileSamples)(paths, labels, load), where=self.where, format=format,
                batch_size=batch_size, shuffle=shuffle, seed=self.seed % 2**32, workers=workers,
            )  # fmt: skip
            found.class_names, found.file_paths = self.class_names, paths
            made.append(found)
        return made if self._subset == "both" else made[0]

    def _encoded(self, labels):
        if self._label_mode == "binary":
            return labels.astype("float32")[:, None]
        if self._label_mode == "categorical":
            count = len(self.class_names or ())
            if labels.size and not 0 <= labels.min() <= labels.max() < count:
                expected = f'labels from 0 to {count - 1} for label_mode="categorical"'
                found = f"labels from {labels.min()} to {labels.max()}"
                raise errors.bad_value(f"{self.where}(labels)", expected, found)
            return np.eye(count, dtype="float32")[labels]
        return labels


class FileSamples(Samples):
    """Samples made of files.

    Args:
        paths: list of paths.
        labels: array with one entry per file, or None.
        load: function from a path to `x`.
    """

    def __init__(self, paths, labels, load):
        self._paths, self._labels, self._load = paths, labels, load

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, number):
        try:
            x = self._load(self._paths[number])
        except Exception as e:
            e.add_note(f"Raised while {self._paths[number]} was read.")
            raise
        return x if self._labels is None else (x, self._labels[number])


class PaddedSamples(FileSamples):
    """Samples of different lengths, padded with zeros to the longest of a batch."""

    lengths_differ = True

    def many(self, numbers):
        found = [self[n] for n in numbers]
        xs = [s if self._labels is None else s[0] for s in found]
        longest = max(map(len, xs))
        xs = [np.pad(x, [(0, longest - len(x))] + [(0, 0)] * (x.ndim - 1)) for x in xs]
        return stack(xs if self._labels is None else [(x, s[1]) for x, s in zip(xs, found)])


def _files(directory, suffixes, follow_links):
    """Return the files below a folder with one of the suffixes, folder by folder, sorted."""
    found = []
    for root, _, names in sorted(os.walk(directory, followlinks=follow_links)):
        found += [os.path.join(root, n) for n in sorted(names) if n.lower().endswith(suffixes)]
    return found


def _check_split(where, validation_split, subset, shuffle, seed):
    if validation_split is not None and not 0 <= validation_split < 1:
        expected = "a share from 0 to 1, or None"
        raise errors.bad_value(f"{where}(validation_split)", expected, repr(validation_split))
    if subset not in SUBSETS:
        known = ("training", "validation", "both")
        raise errors.unknown_name(f"{where}(subset)", "subset", subset, known)
    if bool(validation_split) != bool(subset):
        name, other = "subset", "validation_split"
        if not validation_split:
            name, other = other, name
        fix = f"pass {other} and {name}, or neither"
        raise errors.bad_value(f"{where}({name})", f"a value, as {other} is given", "None", fix)
    if validation_split and shuffle and seed is None:
        fix = "so that the two parts come from one order"
        raise errors.bad_value(f"{where}(seed)", "an int for a shuffled split", "None", fix)
