"""Unpacking that trusts no archive: only plain files and folders, only below the target, only so many bytes.

tarfile's own data filter allows links and needs a recent Python; here the few lines that copy a member do all checks.
"""

import bz2
import errno
import gzip
import lzma
import os
import pathlib
import shutil
import stat
import tarfile
import zipfile

from core.errors import UserError
from core.text import printable
from datasets.preparation.download import bar, explain

MAX_MEMBERS = 2_000_000
# What writing a member ends in when the archive is to blame: a name that is too long or no name, a file that is also a
# folder, a place in the file that does not exist.
NAMES = (errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)
DECOMPRESSORS = ((b'\x1f\x8b', gzip.open), (b'BZh', bz2.open), (b'\xfd7zXZ\0', lzma.open))


class BadArchive(UserError):
    """An archive that is damaged, cut off or unsafe."""


def safe_path(name, source):
    """Relative POSIX path of a member; BadArchive if it would leave the target folder."""
    path = pathlib.PurePosixPath(name)
    if '\0' in name or '\\' in name or path.is_absolute() or '..' in path.parts or ':' in (path.parts or ('',))[0]:
        raise BadArchive(f'{source} is unsafe: its member {printable(name)!r} would be written outside the folder. '
                         'Nothing of it is used')
    return path


class Writer:
    """Copies members below `folder` and stops at `max_bytes`."""

    def __init__(self, source, folder, max_bytes):
        self.source, self.folder, self.left, self.members = source, pathlib.Path(folder), max_bytes, 0
        self.max_bytes = max_bytes

    def make(self, name):
        self.count()
        (self.folder / safe_path(name, self.source)).mkdir(parents=True, exist_ok=True)

    def copy(self, name, stream):
        self.count()
        path = self.folder / safe_path(name, self.source)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, 'wb') as file:
            while True:
                chunk = stream.read(1 << 20)
                if not chunk:
                    break
                self.left -= len(chunk)
                if self.left < 0:
                    raise BadArchive(f'{self.source} unpacks to more than {self.max_bytes:,} bytes, which this data '
                                     'set cannot need. Nothing of it is used')
                file.write(chunk)

    def count(self):
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise BadArchive(f'{self.source} has more than {MAX_MEMBERS:,} members')


class Blocks:
    """A decompressed tar file that remembers what was read last: tarfile takes damage for the end of the archive."""

    def __init__(self, file):
        self.file, self.last = file, b''

    def read(self, size=-1):
        self.last = self.file.read(size)
        return self.last

    def seek(self, *where):
        return self.file.seek(*where)

    def tell(self):
        return self.file.tell()

    def ends_well(self):
        """Whether the archive ends with a block of zeros and holds nothing behind it; reads to the last checksum."""
        if len(self.last) != tarfile.BLOCKSIZE or any(self.last):
            return False
        return not any(any(chunk) for chunk in iter(lambda: self.file.read(1 << 20), b''))


def unpack_tar(source, writer):
    with open(source, 'rb') as raw, bar(os.path.getsize(source), 'unpacking ' + os.path.basename(source)) as shown:
        head = raw.read(6)
        raw.seek(0)
        opener = next((opener for magic, opener in DECOMPRESSORS if head.startswith(magic)), None)
        blocks = Blocks(raw if opener is None else opener(raw))
        with tarfile.open(fileobj=blocks, mode='r:') as archive:
            for member in archive:
                shown.update(raw.tell() - shown.n)
                if member.isdir():
                    writer.make(member.name)
                elif member.isreg():
                    writer.copy(member.name, archive.extractfile(member))
                else:
                    raise BadArchive(f'{source} is unsafe: its member {printable(member.name)!r} is a link or a '
                                     'device. Nothing of it is used')
                archive.members = []     # tarfile would keep every member it has seen
            if not blocks.ends_well():
                raise BadArchive(f'{source} is damaged or cut off: it has no end after {writer.members:,} members')


def unpack_zip(source, writer):
    with zipfile.ZipFile(source) as archive:
        members = archive.infolist()
        with bar(sum(member.file_size for member in members), 'unpacking ' + os.path.basename(source)) as shown:
            for member in members:
                kind = stat.S_IFMT(member.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise BadArchive(f'{source} is unsafe: its member {printable(member.filename)!r} is a link or a '
                                     'device. Nothing of it is used')
                if member.flag_bits & 1:
                    raise BadArchive(f'{source} is protected by a password (as img_highres.zip of DeepFashion is). '
                                     'Fix: unpack it by hand, or take the archive that is asked for')
                if member.is_dir():
                    writer.make(member.filename)
                else:
                    with archive.open(member) as stream:
                        writer.copy(member.filename, stream)
                shown.update(member.file_size)


def unpack(source, folder, scratch, max_bytes):
    """Unpack the zip or tar file `source` into `folder`, by way of the empty folder `scratch` on the same disk.

    Nothing reaches `folder` before the last member has been read. Raises BadArchive (damaged, cut off, unsafe) and
    UserError (no space, no permission); `scratch` is gone in either case.
    """
    source = os.fspath(source)
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        os.makedirs(scratch)
        read_members(source, scratch, max_bytes)
        merge(pathlib.Path(scratch), pathlib.Path(folder))
    except OSError as error:
        raise explain(error, folder) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_members(source, scratch, max_bytes):
    """Write every member below `scratch`. BadArchive, or OSError when the disk is to blame."""
    writer = Writer(source, scratch, max_bytes)
    try:
        (unpack_zip if zipfile.is_zipfile(source) else unpack_tar)(source, writer)
    except UserError:
        raise
    except OSError as error:
        # gzip, bz2 and lzma raise OSError without a number on damaged data
        if error.errno is not None and error.errno not in NAMES:
            raise
        raise BadArchive(f'{source} is damaged or cut off: {printable(error)}') from error
    except Exception as error:      # bytes from outside: zlib.error, LZMAError, RecursionError, UnicodeDecodeError, ...
        raise BadArchive(f'{source} is damaged or cut off, or is no zip or tar file: {printable(error)}') from error
    if not writer.members:
        raise BadArchive(f'{source} is empty')


def merge(source, target):
    """Move everything below `source` to `target`, replacing files that are there."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        goal = target / entry.name
        if entry.is_dir() and goal.is_dir():
            merge(entry, goal)
        else:
            os.replace(entry, goal)
