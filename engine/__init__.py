"""Set-up of MXNet, the training loop, checkpoints, schedules and run folders."""
