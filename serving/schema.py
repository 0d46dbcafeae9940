"""The tables of a local index."""

import contextlib
import json
import pathlib
import sqlite3

VERSION = 1
SCHEMA = '''
create table about (key text primary key, value text not null) without rowid;
create table images (
    id integer primary key autoincrement, path text not null unique, label text not null, size integer not null,
    mtime_ns integer not null, added real not null, deleted integer not null default 0,
    row integer unique, checksum integer);
create index images_by_label on images (label, id);
create table unreadable (path text primary key, size integer not null, mtime_ns integer not null, reason text not null)
    without rowid;
'''
COLUMNS = 'id, path, label, size, mtime_ns'


def read_about(folder):
    """The dict `about` of an index, or None where there is none; nothing is checked."""
    database = pathlib.Path(folder, 'images.sqlite')
    if not database.is_file():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f'{database.absolute().as_uri()}?mode=ro', uri=True)) as sql:
            return json.loads(sql.execute("select value from about where key = 'about'").fetchone()[0])
    except (sqlite3.Error, TypeError):      # no table yet, no row yet
        return None
