"""What a worker process runs: it is handed a dataset and numbers, and answers with batches.

It is run as a script, and so imports neither stepfit nor JAX, unless the dataset's module does.
"""

import os
import pickle
import random
import signal
import sys
import traceback
import zlib
from typing import Any


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what the dataset prints must not get between the batches
    sys.path[:] = pickle.load(requests)
    dataset: Any = None
    while True:
        try:
            pickled, number, seed = pickle.load(requests)
        except EOFError:  # the process that trains is gone
            return
        try:
            if pickled is not None:
                dataset = pickle.loads(pickled)
            random.seed(seed)
            if "numpy" in sys.modules:
                sys.modules["numpy"].random.seed(zlib.crc32(seed.encode()))
            reply = pickle.dumps((dataset[number], None, None), protocol=5)
        except BaseException as e:
            text = traceback.format_exc()
            try:
                reply = pickle.dumps((None, e, text))
                pickle.loads(reply)
            except Exception:
                reply = pickle.dumps((None, None, text))
        replies.write(reply)
        replies.flush()


if __name__ == "__main__":
    main()
