"""From a benchmark's address to verified files: download, unpack, check."""
