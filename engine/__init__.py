"""The training loop and what belongs to it: schedules, optimizers, checkpoints, run folders, the forward loop."""
