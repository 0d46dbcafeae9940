"""Short programs that use the suite as a library; each runs as it stands."""
