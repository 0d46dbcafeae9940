"""Where the recorded reference vectors, sample photos and ImageNet weights lie, if they are on this machine.

They are third-party material and not part of the repository: the variable GLUON_DML_SHARED names their folder, else
the folder `shared` beside the repository is taken.
"""

import os
import pathlib

import pytest

_folder = pathlib.Path(os.environ.get('GLUON_DML_SHARED', pathlib.Path(__file__).resolve().parents[2] / 'shared'))
SHARED = _folder if _folder.is_dir() else None

needs_shared = pytest.mark.skipif(
    SHARED is None, reason='reference material not found: set GLUON_DML_SHARED to its folder')
