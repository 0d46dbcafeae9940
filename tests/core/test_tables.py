"""The reader of CSV files: what people's programs write, and what is wrong with it, by file and line."""

import numpy as np
import pytest

from core.errors import UserError
from core.tables import read_records, read_table, whole_numbers, write_records
from core.text import printable


def table(tmp_path, content, needed=('path', 'label')):
    path = tmp_path / 'list.csv'
    path.write_bytes(content if isinstance(content, bytes) else content.encode('utf-8', 'surrogateescape'))
    return read_table(path, needed)


@pytest.mark.parametrize('content', [
    'path,label\na.jpg,x\nb.jpg,y\n', '\ufeffpath,label\r\na.jpg,x\r\nb.jpg,y', 'Label ; PATH\n x;a.jpg \n\ny ;b.jpg',
    'path\tlabel\na.jpg\tx\nb.jpg\ty\n', '"path","label"\n"a.jpg","x"\n"b.jpg","y"\n',
    '\ufeffpath,label\na.jpg,x\nb.jpg,y\n'.encode('utf-16-le'), 'path,label,note\na.jpg,x,"1; 2"\nb.jpg,y,\n'])
def test_what_spreadsheets_write_is_read_alike(tmp_path, content):
    found = table(tmp_path, content)
    assert found['path'] == ['a.jpg', 'b.jpg'] and found['label'] == ['x', 'y'] and len(found) == 2


def test_a_class_with_a_blank_behind_it_is_the_same_class(tmp_path):
    assert set(table(tmp_path, 'path,label\na,x\nb,x \nc, x\n')['label']) == {'x'}


def test_labels_01_and_1_are_two_classes():
    assert whole_numbers(['01', '1']).tolist() == ['01', '1'] and whole_numbers(['1', '2']).dtype == np.int64
    assert whole_numbers(['1.0', '1']).tolist() == ['1.0', '1'] and whole_numbers(['9' * 30]).tolist() == ['9' * 30]


def test_spellings_of_true_and_false(tmp_path):
    words = ['yes', ' 1', '1.0', 'TRUE', 'query', 'no', '0', '0.0', '', 'False']
    found = table(tmp_path, 'query,i\n' + ''.join(f'{word},{k}\n' for k, word in enumerate(words)), ('i',))
    assert found.booleans('query').tolist() == [True] * 5 + [False] * 5
    with pytest.raises(UserError, match="line 3: query is 'perhaps'. Legal values: 1, "):
        table(tmp_path, 'query,i\n1,1\nperhaps,2\n', ('i',)).booleans('query')


@pytest.mark.parametrize('content, words', [
    ('', 'it is empty'), ('path,label\n', 'has a header but no row'), ('path\na\n', 'no column label'),
    ('path,label\na,x\n\nb,\n', 'line 4: the column label is empty'),
    ('path,label\na,NaN\n', 'line 2: the column label is NaN'),
    ('path,label\na,x\nb\n', 'line 3: 1 values for the 2 columns'), ('path,label\na,x,y\n', 'line 2: 3 values'),
    ('path,Path,label\na,a,x\n', 'the column path is there twice'), ('path,label\n"a,x\n', 'cannot be read as a CSV'),
    (b'\xff\xfe\x00', 'begins as UTF-16')])
def test_damage_is_named_with_its_line(tmp_path, content, words):
    with pytest.raises(UserError) as error:
        table(tmp_path, content)
    assert words in str(error.value) and 'list.csv' in str(error.value)


def test_numbers_are_finite(tmp_path):
    assert table(tmp_path, 'x\n1\n2.5\n', ('x',)).numbers('x').tolist() == [1, 2.5]
    for wrong in ('inf', 'one', 'nan '):
        with pytest.raises(UserError, match=f"line 3: x is '{wrong.strip()}', expected a number"):
            table(tmp_path, f'x,y\n1,1\n{wrong},2\n', ('y',)).numbers('x')


def test_bytes_that_are_no_text_stay_and_are_shown(tmp_path):
    name = table(tmp_path, b'path,label\na\xff.jpg,x\n')['path'][0]
    assert name.encode('utf-8', 'surrogateescape') == b'a\xff.jpg' and printable(name) == 'a\\xff.jpg'
    assert printable('a\n\x1b]0;title\x07 鳥 é') == 'a\\n\\x1b]0;title\\x07 鳥 é'
    assert printable('\u202egpj.exe') == '\\u202egpj.exe'


def test_records_survive_their_file(tmp_path):
    path = tmp_path / 'new' / 'a.csv'
    assert read_records(path) == []
    write_records(path, ('a', 'b'), [{'a': 'x, "y"', 'b': 1.5}, {'a': 'two\nlines'}])
    assert read_records(path) == [{'a': 'x, "y"', 'b': '1.5'}, {'a': 'two\nlines', 'b': ''}]
    with pytest.raises(ValueError, match='c'):
        write_records(path, ('a', 'b'), [{'c': 1}])
    assert len(read_records(path)) == 2                        # what was there is still there
