"""The archives of a benchmark: the user's or downloaded, verified, unpacked once, in a way that survives interruptions.

.prepared/archives.json names those that are unpacked; .prepared/unfinished-NAME stands while one is being unpacked.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil

from core.errors import UserError
from core.files import open_atomic, write_json
from core.text import printable
from datasets.benchmarks import index
from datasets.preparation import download
from datasets.preparation.unpack import BadArchive, unpack


def match(benchmark, files):
    """{archive name: path} of the --archive files; by name, else by checksum. UserError for one that fits nothing."""
    archives = {archive.name: archive for source in benchmark.sources for archive in source}
    matched = {}
    for file in files:
        if not os.path.isfile(file):
            raise UserError(f'--archive={printable(file)} is not a file. Fix: the path of a downloaded archive')
        plain = re.sub(r'( ?\(\d+\)| ?- ?copy)(?=\.)', '', os.path.basename(file), flags=re.I).lower()
        found = [archive for name, archive in archives.items() if plain in (name.lower(), strip(name.lower()))]
        found = found or [archive for archive in archives.values()
                          if archive.digests and download.verify(file, archive, progress=False) is None]
        if not found:
            raise UserError(f'--archive={printable(file)} is none of the files of {benchmark.title}, by its name or '
                            f'its checksum. Legal values: {", ".join(archives) or "none; " + benchmark.manual}')
        matched[found[0].name] = file
    return matched


def strip(name):
    """An idx file may come without .gz."""
    return name[:-3] if name.endswith('-ubyte.gz') else name


def acquire(benchmark, root, own, keep, log):
    """Bring every archive of one source into `root`, unpacked. An interrupted call is continued by the next."""
    if not benchmark.sources:
        raise UserError(f'{benchmark.title} is not in {root}, and has no download. '
                        f'Fix: {benchmark.manual.format(root=root)}')
    if not index.unfinished(root, benchmark).exists():
        forget(root)    # what an earlier call unpacked has been removed since
    try:
        (root / 'archives').mkdir(exist_ok=True)
    except OSError as error:
        raise download.explain(error, root) from error
    source = choose(benchmark, root, own)
    by_hand = [archive for archive in source
               if not archive.urls and not done(root, archive) and not local(root, archive, own)]
    if by_hand:
        one = len(by_hand) == 1
        names = ', '.join(archive.name for archive in by_hand)
        raise UserError(f'{benchmark.title} has to be fetched by hand: {names} {"is" if one else "are"} missing.\n'
                        f'{benchmark.manual.format(root=root)}\nFix: put '
                        f'{"it" if one else "them"} into {root / "archives"} (or give --archive=FILE for each) and '
                        'prepare again.')
    for archive in source:
        if done(root, archive) and archive.name not in own:
            continue
        obtain(benchmark, archive, root, own, keep, log)


def obtain(benchmark, archive, root, own, keep, log):
    """Download, verify and unpack one archive."""
    path = local(root, archive, own)
    downloaded = path is None
    if downloaded:
        path = root / 'archives' / archive.name
        log(f'downloading {archive.name}')
        try:
            download.download(archive, path)
        except UserError as error:
            raise UserError(f'{error}\nFix: prepare again later (it goes on where it stopped), or fetch it yourself '
                            'and '
                            f'give --archive=FILE. What to fetch: {benchmark.manual.format(root=root)}') from error
    else:
        plain = strip(archive.name) != archive.name and path.name.lower() == strip(archive.name)
        wrong = None if plain else download.verify(path, archive)
        if wrong:
            refuse(path, wrong, archive.name in own)
    index.unfinished(root, benchmark).touch()
    try:
        if archive.unpack:
            log(f'unpacking {path}')
            unpack(path, root / archive.into, index.folder(root) / 'unpacking', benchmark.max_bytes)
        else:
            place(path, root / archive.into / (path.name if path.name == strip(archive.name) else archive.name))
    except BadArchive as error:
        refuse(path, str(error), archive.name in own, error)
    mark(root, archive)
    if downloaded and not keep and archive.unpack:
        remove(path)


def refuse(path, reason, users, cause=None):
    """Name a wrong archive; one inside the data folder is renamed, so that the next call fetches it anew."""
    kept = 'It is left where it is' if users else f'It is kept aside as {download.set_aside(path)}'
    raise UserError(f'{path} is not the right file: {reason}. {kept}, and nothing of it is used. Fix: fetch it '
                    'again') from cause


def place(path, target):
    """Copy a file that needs no unpacking to where the lists are read, in one step."""
    if target.exists() and os.path.samefile(path, target):
        return
    try:
        with open(path, 'rb') as source, open_atomic(target, 'wb') as file:
            shutil.copyfileobj(source, file)
    except OSError as error:
        raise download.explain(error, target) from error


def choose(benchmark, root, own):
    """The source to use: the first whose files the user has, else the first that can be downloaded, else the first."""
    def have(archive):
        return bool(done(root, archive) or local(root, archive, own))
    for test in (lambda a: a.name in own or have(a), lambda a: have(a) or a.urls):
        for source in benchmark.sources:
            if all(test(archive) for archive in source):
                return source
    partly = [source for source in benchmark.sources if any(have(archive) for archive in source)]
    return (partly or benchmark.sources)[0]


def local(root, archive, own):
    """The archive's file: given by the user, in root/archives or in root; None if it is nowhere."""
    if archive.name in own:
        return pathlib.Path(own[archive.name])
    for name in (archive.name, strip(archive.name)):
        for folder in ('archives', '.', archive.into or '.'):
            path = root / folder / name
            if path.is_file():
                return path
    return None


def state(root):
    try:
        return json.loads((index.folder(root) / 'archives.json').read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return []


def done(root, archive):
    """True if an earlier call has unpacked this archive to its end."""
    return archive.name in state(root)


def mark(root, archive):
    path = index.folder(root) / 'archives.json'
    write_json(path, sorted(set(state(root)) | {archive.name}))


def forget(root):
    """Take every archive for not unpacked."""
    remove(index.folder(root) / 'archives.json')


def remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
