"""The command line: the only folder that knows parsed flags. It imports everything and is imported by main.py alone."""
