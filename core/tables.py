"""CSV files: the one reader of tables that people make, and the records that this suite keeps itself."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Iterable

import numpy as np

from core.errors import UserError, advised
from core.files import write_atomic
from core.text import printable

TRUE = ('1', '1.0', 'true', 't', 'yes', 'y', 'x', 'query')
FALSE = ('0', '0.0', 'false', 'f', 'no', 'n', '', 'gallery')
MISSING = ('', 'nan')
MEND = 'mend or remove that line'
csv.field_size_limit(1 << 24)


class Table:
    """Columns of text with the line of each row.

    Parameters
    ----------
    path : str or Path, named in errors
    columns : {name in lower case: list of N str without blanks around them}
    lines : list of N int, the lines of the file

    Example
    -------
    >>> table = Table('a.csv', {'path': ['x.jpg'], 'query': ['Yes']}, [2])
    >>> len(table), table['path'], table.booleans('query')
    (1, ['x.jpg'], array([ True]))
    """

    def __init__(self, path, columns: dict, lines: list):
        self.path, self.columns, self.lines = str(path), columns, lines

    def __len__(self) -> int:
        return len(self.lines)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> list:
        return self.columns[name]

    def error(self, row: int, message: str) -> UserError:
        """UserError that names the file and the line of a row."""
        return UserError(advised(f'{printable(self.path)}, line {self.lines[row]}: {message}', MEND))

    def filled(self, name: str) -> list:
        """The column, none of whose values is empty or NaN; UserError naming the line of one that is."""
        for row, value in enumerate(self.columns[name]):
            if value.lower() in MISSING:
                raise self.error(row, f'the column {name} is ' + ('NaN' if value else 'empty'))
        return self.columns[name]

    def booleans(self, name: str) -> np.ndarray:
        """bool (N,): yes, y, true, t, 1, 1.0 and x in any case; no, n, false, f, 0, 0.0 and nothing."""
        words = [value.lower() for value in self.columns[name]]
        for row, word in enumerate(words):
            if word not in TRUE and word not in FALSE:
                raise self.error(row, f'{name} is {printable(self.columns[name][row])!r}. Legal values: '
                                      f'{", ".join(TRUE)}; {", ".join(word for word in FALSE if word)} or nothing')
        return np.array([word in TRUE for word in words], dtype=bool)

    def numbers(self, name: str) -> np.ndarray:
        """float64 (N,); UserError naming the line of a value that is no finite number."""
        out = np.empty(len(self), dtype=np.float64)
        for row, value in enumerate(self.columns[name]):
            try:
                out[row] = float(value)
            except ValueError:
                out[row] = np.nan
            if not np.isfinite(out[row]):
                raise self.error(row, f'{name} is {printable(value)!r}, expected a number')
        return out


def whole_numbers(labels) -> np.ndarray:
    """int64 (N,) of labels that are all written as whole numbers (no 01 beside 1, which are two), else str (N,).

    Example
    -------
    >>> whole_numbers(['3', '-1']), whole_numbers(['01', '1'])
    (array([ 3, -1]), array(['01', '1'], dtype='<U2'))
    """
    try:
        values = [int(label) for label in labels]
        if all(str(value) == label for value, label in zip(values, labels)):
            return np.array(values, dtype=np.int64)
    except (ValueError, OverflowError):
        pass
    return np.array(labels, dtype=str)


def read_table(path: str | pathlib.Path, needed: Iterable[str] = ()) -> Table:
    """A CSV file with a header line.

    Blanks around names and values do not count, names are compared in lower case, a byte-order mark is skipped, and a
    semicolon or a tab separates where the header has no comma. Empty lines are skipped.

    Parameters
    ----------
    path : str or Path
    needed : names of columns that must be there; their values must not be empty or NaN

    Returns
    -------
    Table

    Raises
    ------
    UserError : no such file, no such column, no row, a line with too many or too few values; it names file and line

    Example
    -------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), 'a.csv')
    >>> _ = path.write_text('\\ufeffPath, Label \\na.jpg , x \\n')
    >>> read_table(path, ('path', 'label')).columns
    {'path': ['a.jpg'], 'label': ['x']}
    """
    shown = printable(path)
    try:
        with open(path, 'rb') as file:
            data = file.read()
    except FileNotFoundError as error:
        raise UserError(f'{shown} does not exist. Fix: the path of a CSV file') from error
    except OSError as error:
        raise UserError(f'{shown} cannot be read: {error.strerror}. Fix: the path of a CSV file that can') from error
    text = _text(data, shown)
    head = text.lstrip('\r\n').splitlines()[:1]
    separator = max(',;\t', key=lambda mark: (mark == ',' and ',' in head[0], head[0].count(mark))) if head else ','
    rows = csv.reader(io.StringIO(text, newline=''), delimiter=separator, strict=True)
    header, columns, lines = None, {}, []
    try:
        for row in rows:
            row = [value.strip() for value in row]
            if not any(row):
                continue
            if header is None:
                header = [name.lower() for name in row]
                twice = sorted({name for name in header if name and header.count(name) > 1})
                if twice:
                    raise UserError(f'{shown}: the column {printable(twice[0])} is there twice. Fix: name it once')
                columns = {name: [] for name in header}
                continue
            if len(row) != len(header):
                raise UserError(f'{shown}, line {rows.line_num}: {len(row)} values for the {len(header)} columns of '
                                f'the first line. Fix: {MEND}')
            lines.append(rows.line_num)
            for name, value in zip(header, row):
                columns[name].append(value)
    except csv.Error as error:
        raise UserError(f'{shown}, line {rows.line_num}: cannot be read as a CSV file: {error}. '
                        f'Fix: {MEND}') from error
    if header is None:
        raise UserError(f'{shown} cannot be read as a CSV file: it is empty. Fix: a file with a header line')
    missing = [name for name in needed if name not in columns]
    if missing:
        raise UserError(f'{shown} has no column {" and ".join(missing)}. Its first line names '
                        f'{printable(",".join(header))}. Fix: name the column there')
    table = Table(path, columns, lines)
    if not lines:
        raise UserError(f'{shown} has a header but no row. Fix: add rows, or give another file')
    for name in needed:
        table.filled(name)
    return table


def read_records(path: str | pathlib.Path) -> list[dict[str, str]]:
    """Lines of a CSV file that `write_records` made; [] where there is none."""
    if not pathlib.Path(path).exists():
        return []
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def write_records(path: str | pathlib.Path, columns: Iterable[str], records: Iterable[dict]) -> None:
    """Write a CSV file whole or not at all; its folder is made.

    Parameters
    ----------
    path : of the file
    columns : names in their order; a record may lack some and has no others
    records : {name: value}
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval='', lineterminator='\n')
    writer.writeheader()
    writer.writerows(records)
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.getvalue())


def _text(data, shown):
    """Text of the bytes of a CSV file: UTF-8, or UTF-16 as spreadsheets write it; other bytes are kept as they are."""
    if data[:2] in (b'\xff\xfe', b'\xfe\xff'):
        try:
            return data.decode('utf-16')
        except UnicodeDecodeError as error:
            raise UserError(f'{shown} begins as UTF-16 and is not: {error}. Fix: save it as UTF-8') from error
    return data.decode('utf-8-sig', 'surrogateescape')


FORMULA = ('=', '+', '-', '@', '\t', '\r')    # how a cell begins that a spreadsheet computes instead of showing


def harmless(value: str) -> str:
    """A value to write into a CSV file: text that a spreadsheet would take for a formula gets a ' before it.

    Example
    -------
    >>> harmless('=HYPERLINK("x")'), harmless('-1.5'), harmless('cat'), harmless(3)
    ('\\'=HYPERLINK("x")', '-1.5', 'cat', 3)
    """
    if not isinstance(value, str) or not value.lstrip("'").startswith(FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return "'" + value
    return value


def as_written(value: str) -> str:
    """The text that `harmless` made of it.

    Example
    -------
    >>> as_written(harmless('=1+1')), as_written(harmless("'=1")), as_written("'s-Gravenhage")
    ('=1+1', "'=1", "'s-Gravenhage")
    """
    return value[1:] if value.startswith("'") and value.lstrip("'").startswith(FORMULA) else value
