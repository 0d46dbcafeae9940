"""python3 -m tests.reference DIR: check every .npz below DIR and print one line a family."""

import argparse
import collections
import importlib
import pathlib
import sys
import traceback

from core.device import contexts
from tests.reference import PAPERS, Case, Difference


def load_papers():
    """name -> module of every paper that has one."""
    papers = {}
    for name in PAPERS:
        module = 'tests.reference.' + name
        try:
            papers[name] = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
    return papers


def prefix_of(name, families):
    """The longest family that `name` begins with (whole words between underscores), or None."""
    fitting = [prefix for prefix in families if name == prefix or name.startswith(prefix + '_')]
    return max(fitting, key=len, default=None)


def family_of(path, case, papers):
    """(paper, prefix) of a file; paper is None if it is unknown, prefix too if it is unknown to the paper."""
    folders = [part for part in path.resolve().parts[:-1] if part in PAPERS]
    if folders:
        paper = folders[-1]
        return paper, prefix_of(case.name, papers[paper].FAMILIES) if paper in papers else None
    found = []
    for paper, module in papers.items():
        prefix = prefix_of(case.name, module.FAMILIES)
        owns = getattr(module, 'OWNS', {}).get(prefix)
        if prefix is not None and (owns is None or owns(case)):
            found.append((paper, prefix))
    longest = max((len(prefix) for _, prefix in found), default=0)
    found = [item for item in found if len(item[1]) == longest]
    return found[0] if len(found) == 1 else (None, None)


def run(root, verbose=False, write=print):
    """Check every .npz below root. Returns (passed, failed, not implemented)."""
    papers = load_papers()
    counts = collections.OrderedDict()
    details = []
    for path in sorted(root.rglob('*.npz')):
        shown = path.relative_to(root)
        try:
            case = Case(path)
        except Exception as error:  # any damage to a file is that file's failure
            counts.setdefault(('unreadable', str(shown)), [0, 0, 0])[1] += 1
            details.append(f'{shown}: {error}')
            continue
        paper, prefix = family_of(path, case, papers)
        count = counts.setdefault((paper or 'unknown', prefix or case.name.split('_')[0]), [0, 0, 0])
        if paper is None or prefix is None:
            count[2] += 1
            details.append(f'{shown}: no check is written for this family')
            continue
        try:
            papers[paper].FAMILIES[prefix](case)
            count[0] += 1
            rest = sorted(key for key in case.arrays if not key.startswith('in_') and key not in case.compared)
            if rest:
                details.append('{}: passed; not compared: {}'.format(shown, ', '.join(rest)))
        except NotImplementedError as error:
            count[2] += 1
            details.append(f'{shown}: not implemented: {error}')
        except Difference as error:
            count[1] += 1
            details.append(f'{shown}: {error}')
        except Exception:  # a check that crashes has failed, and the others still run
            count[1] += 1
            details.append(f'{shown}: {traceback.format_exc().strip()}')
    for (paper, prefix), (passed, failed, missing) in counts.items():
        note = getattr(papers.get(paper), 'NOTES', {}).get(prefix)
        words = [f'{passed} passed']
        words += [f'{failed} FAILED'] * bool(failed) + [f'{missing} not implemented'] * bool(missing)
        write('{:<44} {}{}'.format(f'{paper}/{prefix}', ', '.join(words), '; ' + note if note else ''))
    if verbose:
        for line in details:
            write('  ' + line)
    return tuple(sum(count[i] for count in counts.values()) for i in range(3))


def main(argv=None):
    """Exit status 0: everything passed; 1: something failed or is not implemented; 2: no such folder."""
    parser = argparse.ArgumentParser(prog='python3 -m tests.reference', description=__doc__)
    parser.add_argument('folder', type=pathlib.Path, help='folder of .npz files, at any depth')
    parser.add_argument('--verbose', action='store_true', help='say what differs in which file')
    parser.add_argument('--gpu_idx', default='cpu', help='number of the GPU that computes; cpu: the CPU')
    args = parser.parse_args(argv)
    if not args.folder.is_dir():
        parser.error(f'{args.folder} is not a folder')
    with contexts(args.gpu_idx)[0]:
        passed, failed, missing = run(args.folder, args.verbose)
    if passed + failed + missing == 0:
        print(f'no .npz file below {args.folder}')
    print(f'{passed} passed, {failed} failed, {missing} not implemented')
    return 0 if passed and not failed and not missing else 1


if __name__ == '__main__':
    sys.exit(main())
