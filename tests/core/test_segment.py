"""Segments: every case of Twilio's calculator, the cut points by hand, and properties that hold for any body."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from postdate.core.gsm7 import is_gsm7, units
from postdate.core.segment import Encoding, Segmentation, concatenation_udh, count_segments, segment
from postdate.core.smart_encoding import REPLACEMENTS, smart_encode

DATA = Path(__file__).parents[1] / "data" / "segments"
SHARED = Path(__file__).parents[3] / "shared" / "segments"

needs_the_shared_cases = pytest.mark.skipif(
    not (SHARED / "cases.jsonl").exists(), reason="../shared/segments is absent: only the cases in tests/data were run"
)


@dataclass(frozen=True, slots=True)
class Case:
    body: str
    smart: bool
    enc: str
    segments: int
    message_bits: int
    total_bits: int
    characters: int
    scalars: int


def read_cases(path: Path) -> list[Case]:
    renamed = {"messageSize": "message_bits", "totalSize": "total_bits"}
    with path.open(encoding="utf-8") as lines:
        return [Case(**{renamed.get(key, key): value for key, value in json.loads(line).items()}) for line in lines]


def read_map(path: Path) -> dict[int, str]:
    return {int(key.removeprefix("U+"), 16): written for key, written in json.loads(path.read_text("utf-8")).items()}


def answer(case: Case) -> Case:
    cut = segment(case.body, case.smart)
    return Case(
        body=case.body,
        smart=case.smart,
        enc=cut.encoding,
        segments=cut.count,
        message_bits=cut.message_bits,
        total_bits=cut.total_bits,
        characters=cut.characters,
        scalars=cut.scalars,
    )


CASES = read_cases(DATA / "cases.jsonl")
CASE_IDS = [f"line {at}: {case.enc} in {case.segments}" for at, case in enumerate(CASES, start=1)]


@pytest.mark.parametrize("case", CASES, ids=CASE_IDS)
def test_a_case_is_answered_as_twilios_calculator_answers_it(case: Case) -> None:
    assert answer(case) == case
    assert count_segments(smart_encode(case.body) if case.smart else case.body) == case.segments


@needs_the_shared_cases
def test_all_shared_cases_are_answered_as_twilios_calculator_answers_them() -> None:
    cases = read_cases(SHARED / "cases.jsonl")
    assert len(cases) >= 300
    assert [answer(case) for case in cases] == cases
    assert [count_segments(smart_encode(case.body) if case.smart else case.body) for case in cases] == [
        case.segments for case in cases
    ]


FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # 8 UTF-16 units, one cluster
ASTRONAUT = "\U0001f469\U0001f3fd\u200d\U0001f680"  # 7
FLAG = "\U0001f1ef\U0001f1f5"  # 4
CONJUNCT = "\u0915\u094d\u0937"  # 3


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        pytest.param("", [""], id="empty body"),
        pytest.param("a" * 160, ["a" * 160], id="160 septets alone"),
        pytest.param("a" * 161, ["a" * 153, "a" * 8], id="161 septets"),
        pytest.param("a" * 306, ["a" * 153] * 2, id="two full parts"),
        pytest.param("a" * 307, ["a" * 153, "a" * 153, "a"], id="one over two full parts"),
        pytest.param("a" * 158 + "€", ["a" * 158 + "€"], id="escape pair fills a segment"),
        pytest.param("a" * 159 + "€", ["a" * 153, "a" * 6 + "€"], id="escape pair is one over"),
        pytest.param("a" * 151 + "€" + "b" * 9, ["a" * 151 + "€", "b" * 9], id="escape pair ends a part"),
        pytest.param("a" * 152 + "€" + "b" * 9, ["a" * 152, "€" + "b" * 9], id="escape pair moves on whole"),
        pytest.param(
            "a" * 152 + "€" + "b" * 152, ["a" * 152, "€" + "b" * 151, "b"], id="escape pair moves on to a part it fills"
        ),
        pytest.param("€" * 81, ["€" * 76, "€" * 5], id="only escape pairs"),
        pytest.param("a" * 152 + "\r\n" + "b" * 9, ["a" * 152 + "\r", "\n" + "b" * 9], id="CR LF is two characters"),
        pytest.param("ж" * 70, ["ж" * 70], id="70 units alone"),
        pytest.param("ж" * 71, ["ж" * 67, "ж" * 4], id="71 units"),
        pytest.param("字" * 135, ["字" * 67, "字" * 67, "字"], id="Chinese, one over two full parts"),
        pytest.param("ж" * 66 + "\U0001f600" + "ж" * 3, ["ж" * 66, "\U0001f600" + "ж" * 3], id="surrogate pair"),
        pytest.param("ж" * 65 + "\U0001f600" + "ж" * 4, ["ж" * 65 + "\U0001f600", "ж" * 4], id="surrogate pair fits"),
        pytest.param("ж" * 60 + FAMILY + "жжж", ["ж" * 60, FAMILY + "жжж"], id="family moves on whole"),
        pytest.param("ж" * 61 + ASTRONAUT + "жжж", ["ж" * 61, ASTRONAUT + "жжж"], id="skin tone and joiner"),
        pytest.param("ж" * 65 + FLAG * 2, ["ж" * 65, FLAG * 2], id="flag"),
        pytest.param("ж" * 66 + "e\u0301жжж", ["ж" * 66, "e\u0301жжж"], id="letter and combining accent"),
        pytest.param("か" * 66 + "か\u3099かかか", ["か" * 66, "か\u3099かかか"], id="kana and voicing mark"),
        pytest.param("ж" * 66 + "\u1100\u1161\u11a8жж", ["ж" * 66, "\u1100\u1161\u11a8жж"], id="Korean in jamo"),
        pytest.param("ж" * 65 + CONJUNCT + "жж" * 2, ["ж" * 65, CONJUNCT + "жж" * 2], id="Devanagari conjunct"),
        pytest.param("ж" * 66 + "\r\nжжж", ["ж" * 66 + "\r", "\nжжж"], id="CR LF in UCS-2"),
        pytest.param("a" + "\u0301" * 99, ["a" + "\u0301" * 66, "\u0301" * 33], id="cluster larger than a part"),
        pytest.param(
            "ж" + "\u200d".join(["\U0001f469"] * 30),
            ["ж" + "\U0001f469\u200d" * 22, "\U0001f469\u200d" * 7 + "\U0001f469"],
            id="cluster larger than a part, cut between surrogate pairs",
        ),
    ],
)
def test_where_a_body_is_cut(body: str, parts: list[str]) -> None:
    assert list(segment(body).segments) == parts
    assert count_segments(body) == len(parts)


def test_an_emoji_rich_body_can_need_more_than_its_size_suggests() -> None:
    body = FAMILY * 25  # 200 units: three parts by division, but only 8 families fit in each
    assert segment(body).count == 4


def test_one_character_outside_the_table_makes_the_whole_body_ucs2() -> None:
    cut = segment("a" * 99 + "ç")
    assert cut.encoding is Encoding.UCS2
    assert cut.count == 2
    assert (cut.units, cut.characters, cut.message_bits, cut.total_bits) == (100, 100, 1600, 1696)


def test_smart_encoding_is_off_unless_asked_for() -> None:
    assert segment("“ok”").encoding is Encoding.UCS2
    assert segment("“ok”", smart_encoded=True) == Segmentation(Encoding.GSM7, ('"ok"',), characters=4, units=4)


# --- Any body ---------------------------------------------------------------------------------------------------

ALPHABETS = [
    "ab [€\r\n",
    "Жя\u0301 e",
    "字かな。か\u3099",
    "한글\u1100\u1161\u11a8",
    "क\u094dषि \u0600\u0644",
    "a\U0001f600\u2764\ufe0f\U0001f3fd\u200d\U0001f680\U0001f1ef\U0001f1f5",
    "“”…\u00a0½\tÀ",
]
bodies = st.one_of(
    st.text(max_size=200),
    *(st.text(st.sampled_from(alphabet), max_size=400) for alphabet in ALPHABETS),
    st.builds(
        lambda filler, count, text, repeats: filler * count + text * repeats,
        st.sampled_from("aжあ€"),
        st.integers(0, 320),
        st.text(st.sampled_from("".join(ALPHABETS)), min_size=1, max_size=12),
        st.integers(1, 40),
    ),
    # What must stay whole, astride the end of a part, and then so much that the next part is just full or just over.
    st.builds(
        lambda kind, before, after: kind[0] * (kind[2] - before) + kind[1] + kind[0] * (kind[2] - after),
        st.sampled_from([("a", "€", 153), ("a", "[]", 153), ("ж", "\U0001f600", 67), ("あ", "か\u3099", 67)]),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
)


def size_in_bits(text: str, encoding: Encoding) -> int:
    return 7 * units(text) if encoding is Encoding.GSM7 else 8 * len(text.encode("utf-16-le"))


def clusters_of(text: str) -> list[str]:
    return [part for cluster in regex.findall(r"\X", text) for part in (cluster if cluster == "\r\n" else [cluster])]


@given(bodies, st.booleans())
def test_the_parts_join_to_the_text_as_sent(body: str, smart: bool) -> None:
    cut = segment(body, smart)
    text = smart_encode(body) if smart else body
    assert "".join(cut.segments) == text
    assert cut.scalars == len(text)
    assert cut == segment(text)


@given(bodies)
def test_every_part_fits_and_none_is_empty(body: str) -> None:
    cut = segment(body)
    limit = 1120 if cut.count == 1 else 1072
    assert all(size_in_bits(part, cut.encoding) <= limit for part in cut.segments)
    assert all(cut.segments) or body == ""
    assert sum(size_in_bits(part, cut.encoding) for part in cut.segments) == cut.message_bits


@given(bodies)
def test_gsm7_is_chosen_exactly_when_every_part_can_be_written_in_it(body: str) -> None:
    cut = segment(body)
    assert (cut.encoding is Encoding.GSM7) == all(map(is_gsm7, cut.segments))


@given(bodies)
def test_the_fast_count_is_the_full_one(body: str) -> None:
    assert count_segments(body) == segment(body).count


@given(bodies)
def test_no_cut_falls_inside_a_cluster_that_a_part_can_hold_and_every_part_is_as_full_as_can_be(body: str) -> None:
    cut = segment(body)
    if cut.count == 1:
        assert size_in_bits(body, cut.encoding) <= 1120
        return
    pieces: list[str] = []
    for cluster in clusters_of(body):
        pieces.extend([cluster] if size_in_bits(cluster, cut.encoding) <= 1072 else cluster)
    for part, following in zip(cut.segments, [*cut.segments[1:], ""], strict=True):
        whole = ""
        while len(whole) < len(part):
            whole += pieces.pop(0)
        assert whole == part
        assert not following or size_in_bits(part + pieces[0], cut.encoding) > 1072
    assert pieces == []


@given(bodies)
def test_characters_are_septets_or_clusters(body: str) -> None:
    cut = segment(body)
    assert cut.characters == (units(body) if cut.encoding is Encoding.GSM7 else len(clusters_of(body)))


def test_every_character_of_the_basic_plane_is_counted_as_the_unicode_rules_say() -> None:
    # Beside Cyrillic and between Korean syllables: whatever joins a neighbour shows itself in one of the two places.
    texts = [f"ж{chr(point)}ж가{chr(point)}가" for point in range(0x10000) if not 0xD800 <= point < 0xE000]
    assert [text for text in texts if segment(text).characters != len(clusters_of(text))] == []


def test_half_a_surrogate_pair_is_counted_and_not_an_error() -> None:
    assert segment("\ud83d" * 71).count == count_segments("\ud83d" * 71) == 2


def test_bodies_in_plain_scripts_do_not_load_the_cluster_search() -> None:
    program = (
        "import sys; from postdate.core.segment import count_segments, segment\n"
        "for text in ('hello ' * 60, 'Привет, ' * 20, '明日の十時です。' * 20, '안녕하세요 ' * 20): segment(text)\n"
        "count_segments('short \\U0001f600')\n"
        "sys.exit('regex' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=30).returncode == 0


# --- Smart Encoding ---------------------------------------------------------------------------------------------


def test_the_map_is_the_reference_map() -> None:
    assert dict(REPLACEMENTS) == read_map(DATA / "smart_encoding_map.json")


@needs_the_shared_cases
def test_the_reference_data_kept_here_is_the_shared_data() -> None:
    for name in ("smart_encoding_map.json", "unicode_to_gsm7.json"):
        assert json.loads((DATA / name).read_text("utf-8")) == json.loads((SHARED / name).read_text("utf-8")), name


def test_what_is_written_is_gsm7_and_what_is_replaced_is_not() -> None:
    assert all(map(is_gsm7, REPLACEMENTS.values()))
    assert not any(is_gsm7(chr(point)) for point in REPLACEMENTS)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        pytest.param("plain [text] €5", "plain [text] €5", id="GSM-7 is left alone"),
        pytest.param("“it’s” – ½ off…", '"it\'s" - 1/2 off...', id="typography"),
        pytest.param("a\u00a0b\u2003c\u2001d\te", "a  b  c d       e", id="blanks: two, two, one, seven"),
        pytest.param("a\u200b\ufeff\u2060b", "ab", id="invisible characters go"),
        pytest.param("‹x› «y»", '<x> "y"', id="angle quotation marks"),
        pytest.param("ＣＯＤＥ　４２！", "CODE  42!", id="full width"),
        pytest.param("ᴀʙᴄ", "ABC", id="small capitals"),
        pytest.param("façade á", "façade á", id="accented letters stay"),
        pytest.param("n\u0303", "n~", id="a combining mark becomes a sign"),
        pytest.param("\U0001f600", "\U0001f600", id="emoji stay"),
    ],
)
def test_smart_encode(text: str, encoded: str) -> None:
    assert smart_encode(text) == encoded


@given(bodies)
def test_smart_encoding_twice_changes_nothing_more(body: str) -> None:
    once = smart_encode(body)
    assert smart_encode(once) == once


@given(st.text(st.sampled_from([chr(point) for point in REPLACEMENTS])))
def test_a_body_of_only_replaced_characters_becomes_gsm7(body: str) -> None:
    assert segment(body, smart_encoded=True).encoding is Encoding.GSM7


# --- The header of a part ---------------------------------------------------------------------------------------


def test_the_header_of_a_part() -> None:
    header = concatenation_udh(ref=0xA7, total=3, index=2)
    assert header.hex() == "050003a70302"
    assert header[0] == len(header) - 1


@pytest.mark.parametrize(
    ("ref", "total", "index", "words"),
    [
        pytest.param(256, 2, 1, "modulo 256", id="reference too large"),
        pytest.param(-1, 2, 1, "modulo 256", id="reference negative"),
        pytest.param(0, 2, 0, "from 1", id="index counts from 1"),
        pytest.param(0, 2, 3, "part 3 of 2", id="index after the last"),
        pytest.param(0, 256, 1, "at most 255", id="too many parts"),
    ],
)
def test_a_header_that_cannot_be_written_is_refused(ref: int, total: int, index: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        concatenation_udh(ref, total, index)


@given(st.integers(0, 255), st.integers(1, 255), st.data())
def test_every_header_is_as_long_as_the_room_kept_for_it(ref: int, total: int, data: st.DataObject) -> None:
    header = concatenation_udh(ref, total, data.draw(st.integers(1, total)))
    assert len(header) * 8 == 1120 - 1072
