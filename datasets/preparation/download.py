"""Downloads that go on after an interruption, from several mirrors, accepted only with the right checksum.

`requests` does the transfer: pooch, the other candidate, starts a broken download from zero.
"""

import errno
import hashlib
import json
import os
import sys
import time

from tqdm import tqdm

from core.errors import UserError
from core.lazy import lazy

requests = lazy('requests')

CHUNK = 1 << 16     # bytes; an interruption loses at most this much
TIMEOUT = (15, 60)     # seconds to connect, and between two packets
RETRIES = 4            # tries in a row at one address that bring no byte
PAUSE = 1.0            # seconds before the second try; doubles


class MirrorError(Exception):
    """An address that cannot deliver; the next one is tried."""


def explain(error, path):
    """UserError in plain words for an OSError on `path`."""
    reasons = {
        errno.ENOSPC: 'there is no space left on its disk. Fix: make room, or give another folder with --data_dir, and '
                      'prepare again: it goes on where it stopped',
        errno.EDQUOT: 'your disk quota is used up. Fix: make room and prepare again: it goes on where it stopped',
        errno.EROFS: 'its file system is read-only. Fix: give a folder that you may write to with --data_dir',
        errno.EACCES: 'you may not write there. Fix: give a folder that you may write to with --data_dir',
        errno.EPERM: 'you may not write there. Fix: give a folder that you may write to with --data_dir',
        errno.ENOTDIR: 'a file stands where a folder should be. Fix: give another --data_dir',
    }
    reason = reasons.get(error.errno, f'{error.strerror or error}.')
    return UserError(f'{path} cannot be written: {reason}. Fix: free some space, or another --data_dir')


def writable(folder):
    """False for a folder that exists and that its owner has marked read-only; root is held to it too."""
    return not os.path.isdir(folder) or (os.stat(folder).st_mode & 0o222 != 0 and os.access(folder, os.W_OK))


def bar(total, title, initial=0):
    """Progress bar in bytes; silent when the output is no terminal."""
    return tqdm(total=total, initial=initial, desc=title, unit='B', unit_scale=True, unit_divisor=1024, leave=False,
                disable=not sys.stderr.isatty())


def verify(path, archive, progress=True):
    """None if the file has the archive's size and one of its checksums, else the difference in words."""
    size = os.path.getsize(path)
    if archive.size is not None and size != archive.size:
        return f'{size:,} bytes instead of {archive.size:,}: ' + ('cut off' if size < archive.size else 'another file')
    if not archive.digests:
        return None if size else 'the file is empty'
    kinds = {digest.split(':')[0]: hashlib.new(digest.split(':')[0]) for digest in archive.digests}
    with open(path, 'rb') as file, bar(size if progress else 0, 'checksum of ' + archive.name) as shown:
        while True:
            chunk = file.read(1 << 20)
            if not chunk:
                break
            for hasher in kinds.values():
                hasher.update(chunk)
            shown.update(len(chunk))
    found = [f'{kind}:{hasher.hexdigest()}' for kind, hasher in kinds.items()]
    if set(found) & set(archive.digests):
        return None
    return f'checksum {found[0]} instead of {archive.digests[0]}'


def set_aside(path):
    """Rename a wrong file to NAME.bad (NAME.bad2 ... if taken); returns the new path."""
    for number in range(1, 100):
        aside = f'{path}.bad{"" if number == 1 else number}'
        if not os.path.exists(aside):
            break
    os.replace(path, aside)
    return aside


def download(archive, target, session=None):
    """Fetch archive to the path `target` from the first mirror that delivers it whole and right.

    The bytes so far stand in target.part, with the address in target.part.json; the next call goes on from there.
    Raises UserError that says what happened at each mirror.
    """
    part, failures = str(target) + '.part', []
    session = session or requests.Session()
    for url in archive.urls:
        for second_chance in (False, True):
            try:
                resumed = transfer(session, url, part, archive)
            except MirrorError as error:
                failures.append(f'{url}: {error}')
                break
            except OSError as error:
                raise explain(error, part) from error
            wrong = verify(part, archive)
            if wrong is None:
                os.replace(part, target)
                forget(part)
                return
            failures.append(f'{url}: {wrong}; kept aside as {set_aside(part)}')
            forget(part)
            if second_chance or not resumed:    # an old beginning may be to blame: once more from zero
                break
    shown = '\n  '.join(failures)
    raise UserError(f'{archive.name} could not be downloaded.\n  {shown}')


def forget(part):
    if os.path.exists(part + '.json'):
        os.remove(part + '.json')


def transfer(session, url, part, archive):
    """Bring `part` to its full length from url. True if it began with bytes of an earlier call. Raises MirrorError."""
    origin = read_origin(part)
    have = os.path.getsize(part) if os.path.exists(part) else 0
    if have and not archive.digests and origin.get('url') != url:
        os.remove(part)     # without a checksum, pieces of two mirrors are never joined
        have = 0
    resumed, tries = have > 0, 0
    while True:
        before = have
        try:
            have, done = request(session, url, part, archive, have)
            if done:
                return resumed
            reason = f'the connection ended after {have:,} bytes'
        except requests.RequestException as error:
            have = os.path.getsize(part) if os.path.exists(part) else 0
            reason = str(error) if isinstance(error, requests.HTTPError) else type(error).__name__
        tries = 1 if have > before else tries + 1
        if tries >= RETRIES:
            raise MirrorError(f'{reason}, {tries} tries in a row without progress')
        time.sleep(PAUSE * 2 ** (tries - 1))


def read_origin(part):
    try:
        with open(part + '.json', encoding='utf-8') as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def request(session, url, part, archive, have):
    """One HTTP request that appends to `part`; returns (bytes now there, complete?)."""
    headers = {'Accept-Encoding': 'identity'}
    origin = read_origin(part)
    if have:
        headers['Range'] = f'bytes={have}-'
        if origin.get('url') == url and origin.get('validator'):
            headers['If-Range'] = origin['validator']
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:
            total = answer.headers.get('Content-Range', '').rpartition('/')[2]
            if total.isdigit() and int(total) == have:
                return have, True
            os.remove(part)
            return 0, False
        if answer.status_code >= 500 or answer.status_code == 429:
            raise requests.HTTPError(f'HTTP {answer.status_code}')
        if answer.status_code not in (200, 206):
            raise MirrorError(f'HTTP {answer.status_code} {answer.reason}')
        if answer.headers.get('Content-Type', '').startswith('text/html'):
            raise MirrorError('answered a web page instead of the file')
        if answer.status_code == 206:
            start = answer.headers.get('Content-Range', '').replace('bytes ', '').partition('-')[0]
            if start != str(have):
                raise MirrorError(f'answered bytes from {start} when asked for those from {have}')
        else:
            have = 0
        length = answer.headers.get('Content-Length')
        total = have + int(length) if length else None
        if archive.size is not None and total is not None and total != archive.size:
            raise MirrorError(f'offers {total:,} bytes instead of {archive.size:,}')
        check_space(part, total - have if total else 0)
        with open(part + '.json', 'w', encoding='utf-8') as file:
            json.dump({'url': url, 'validator': answer.headers.get('ETag') or answer.headers.get('Last-Modified')},
                      file)
        with open(part, 'ab' if have else 'wb') as file, bar(total, archive.name, have) as shown:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                have += len(chunk)
                shown.update(len(chunk))
    return have, total is None or have >= total


def check_space(path, needed):
    """UserError before the first byte when the disk has not `needed` bytes left."""
    folder = os.path.dirname(os.path.abspath(path))
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free < needed:
        raise UserError(f'{os.path.basename(path)} needs {needed / 1e9:.1f} GB, but {folder} has {free / 1e9:.1f} GB '
                        'left. Fix: make room, or give another folder with '
                        '--data_dir')
