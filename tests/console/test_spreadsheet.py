"""CSV that a spreadsheet opens and computes nothing of, whatever stands in a message."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.console.spreadsheet import BYTE_ORDER_MARK, cell, head, line

STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", '""'),
        ("Hi, Ann", '"Hi, Ann"'),
        ('say "aah"', '"say ""aah"""'),
        ("two\nlines", '"two\nlines"'),
        ("=1+1", '"\'=1+1"'),
        ("+14155550100", '"\'+14155550100"'),
        ("-1", '"\'-1"'),
        ("@SUM(A1)", '"\'@SUM(A1)"'),
        ("\t=1", '"\'\t=1"'),
        ("  =1", '"\'  =1"'),
        ("\uff1d1+1", '"\'\uff1d1+1"'),
        ("佐藤様", '"佐藤様"'),
    ],
)
def test_a_cell_is_quoted_and_is_no_formula(value: str, written: str) -> None:
    assert cell(value) == written


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
def test_a_spreadsheet_reads_every_line_back_and_no_cell_is_a_formula(values: list[str]) -> None:
    (read,) = csv.reader(io.StringIO(line(values), newline=""), strict=True)
    assert [one.removeprefix("'") if one != kept else one for one, kept in zip(read, values, strict=True)] == values
    assert not any(one.startswith(tuple(STARTS)) for one in read)


def test_a_file_says_that_it_is_utf8_and_what_its_columns_are() -> None:
    assert head().startswith(BYTE_ORDER_MARK)
    columns = next(csv.reader(io.StringIO(head().removeprefix(BYTE_ORDER_MARK))))
    assert columns[:2] == ["sid", "status"]
    assert len(columns) == len(set(columns)) == 15
