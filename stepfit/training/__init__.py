"""Training: data, steps, the engine that runs them, and the trainer that owns `fit`."""
