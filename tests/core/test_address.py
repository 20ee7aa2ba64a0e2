"""Addresses have one spelling, garbage is refused with a reason, and new number ranges are not."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postdate.core.address import (
    Address,
    Channel,
    InvalidAddress,
    SenderKind,
    area_code,
    bucket_of,
    country_code,
    parse_recipient,
    parse_sender,
)

LRM = "\u202a"


@pytest.mark.parametrize(
    ("text", "channel", "value"),
    [
        pytest.param("+14155550100", Channel.SMS, "+14155550100", id="e164"),
        pytest.param("+1 (415) 555-0100", Channel.SMS, "+14155550100", id="american"),
        pytest.param("+1.415.555.0100", Channel.SMS, "+14155550100", id="dots"),
        pytest.param(" 14155550100", Channel.SMS, "+14155550100", id="plus-became-a-space"),
        pytest.param(" 1 415 555 0100", Channel.SMS, "+14155550100", id="plus-became-a-space, spaced"),
        pytest.param(" +14155550100\n", Channel.SMS, "+14155550100", id="space-around"),
        pytest.param(f"{LRM}+81\u00a090\u20111234\u20135678\u202c", Channel.SMS, "+819012345678", id="address-book"),
        pytest.param("+44 (0)20 7946 0000", Channel.SMS, "+442079460000", id="trunk-prefix"),
        pytest.param("+39 06 1234 5678", Channel.SMS, "+390612345678", id="italy-keeps-its-zero"),
        pytest.param("+81 99-1234-5678", Channel.SMS, "+819912345678", id="not-assigned-yet"),
        pytest.param("+15005550006", Channel.SMS, "+15005550006", id="test-number"),
        pytest.param("+683 4002", Channel.SMS, "+6834002", id="seven-digits"),
        pytest.param("whatsapp:+14155550100", Channel.WHATSAPP, "+14155550100", id="whatsapp"),
        pytest.param("WhatsApp: 14155550100", Channel.WHATSAPP, "+14155550100", id="whatsapp-plus-became-a-space"),
        pytest.param(" whatsapp :+14155550100", Channel.WHATSAPP, "+14155550100", id="whatsapp-spaced"),
        pytest.param("whatsapp:+5215512345678", Channel.WHATSAPP, "+5215512345678", id="whatsapp-keeps-old-mexico"),
        pytest.param("rcs:+44 (0)20 7946 0000", Channel.RCS, "+442079460000", id="rcs"),
        pytest.param("messenger:1234567890123456", Channel.MESSENGER, "1234567890123456", id="messenger"),
    ],
)
def test_recipients(text: str, channel: Channel, value: str) -> None:
    assert parse_recipient(text) == Address(channel, value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "plus sign", id="empty"),
        pytest.param("hello", "plus sign", id="word"),
        pytest.param("4155550100", "plus sign", id="no-plus"),
        pytest.param("12345", "plus sign", id="short-code"),
        pytest.param("+", "plus sign", id="plus-only"),
        pytest.param("++14155550100", "plus sign", id="two-pluses"),
        pytest.param("+04155550100", "plus sign", id="leading-zero"),
        pytest.param("+1234567890123456", "plus sign", id="sixteen-digits"),
        pytest.param("+1415555010x", "plus sign", id="letter"),
        pytest.param("+1415555\u0660100", "plus sign", id="arabic-digit"),
        pytest.param("\uff0b14155550100", "plus sign", id="full-width"),
        pytest.param("+14155550100;ext=5", "plus sign", id="extension"),
        pytest.param("+14155550100,+14155550101", "plus sign", id="two-numbers"),
        pytest.param("+999123456789", "no country", id="no-such-country"),
        pytest.param("+1415555010", "too few", id="one-digit-short"),
        pytest.param("+141555501000", "too many", id="one-digit-long"),
        pytest.param("+15550100", "area code", id="no-area-code"),
        pytest.param("+490061610615", "order", id="two-trunk-prefixes"),
        pytest.param("+9800000", "order", id="too-short-without-trunk-prefix"),
        pytest.param("sms:+14155550100", "no channel", id="sms-has-no-prefix"),
        pytest.param("fax:+14155550100", "no channel", id="other-channel"),
        pytest.param(":+14155550100", "no channel", id="empty-channel"),
        pytest.param("whatsapp:", "plus sign", id="whatsapp-nothing"),
        pytest.param("whatsapp:+1415555010", "too few", id="whatsapp-short"),
        pytest.param("whatsapp:+999123456789", "no country", id="whatsapp-no-country"),
        pytest.param("rcs:+1415555010", "too few", id="rcs-short"),
        pytest.param("messenger:", "no id", id="messenger-nothing"),
        pytest.param("messenger:<b>", "no id", id="messenger-markup"),
        pytest.param("+1" + " " * 200 + "4155550100", "longer", id="huge"),
    ],
)
def test_refused_recipients(text: str, reason: str) -> None:
    with pytest.raises(InvalidAddress, match=reason):
        parse_recipient(text)


@pytest.mark.parametrize(
    ("text", "kind", "written"),
    [
        pytest.param("+14155550100", SenderKind.PHONE_NUMBER, "+14155550100", id="number"),
        pytest.param(" 1 (415) 555-0100", SenderKind.PHONE_NUMBER, "+14155550100", id="number-plus-became-a-space"),
        pytest.param("123", SenderKind.SHORT_CODE, "123", id="short-3"),
        pytest.param("12345678", SenderKind.SHORT_CODE, "12345678", id="short-8"),
        pytest.param(" 12345 ", SenderKind.SHORT_CODE, "12345", id="short-spaced"),
        pytest.param("Acme", SenderKind.ALPHA, "Acme", id="alpha"),
        pytest.param("1-800-Acme", SenderKind.ALPHA, "1-800-Acme", id="alpha-digits-first"),
        pytest.param("A&B +_- 123", SenderKind.ALPHA, "A&B +_- 123", id="alpha-every-sign-11"),
        pytest.param("whatsapp:+14155550100", SenderKind.CHANNEL, "whatsapp:+14155550100", id="whatsapp"),
        pytest.param("messenger:acme.page", SenderKind.CHANNEL, "messenger:acme.page", id="messenger"),
        pytest.param("RCS:acme_agent", SenderKind.CHANNEL, "rcs:acme_agent", id="rcs"),
    ],
)
def test_senders(text: str, kind: SenderKind, written: str) -> None:
    sender = parse_sender(text)
    assert (sender.kind, str(sender)) == (kind, written)
    assert sender.address == Address.stored(written)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "123456789",
        "4155550100",
        "Acme Company",
        "Zürich",
        "A\nB",
        "+1-",
        "MG" + "0" * 32,
        "whatsapp:Acme",
        "+1415555010",
        "fax:Acme",
        "rcs:",
        "rcs:two words",
        "messenger:" + "x" * 129,
        "١٢٣٤",
    ],
    ids=repr,
)
def test_refused_senders(text: str) -> None:
    with pytest.raises(InvalidAddress) as refused:
        parse_sender(text)
    assert repr(text[:20])[:-1] in str(refused.value) or ":" in text, "it shows what was received"


@given(st.text() | st.text(string.digits + "+ -().:" + "whatsapp", max_size=30))
@example("\ud800")
@example("\0" * 10_000)
def test_any_text_is_an_address_or_refused_shortly(text: str) -> None:
    for parse in (parse_recipient, parse_sender):
        try:
            said = str(parse(text))
        except InvalidAddress as refused:
            said = str(refused)
        else:
            assert said.isascii()
        assert said.isprintable()
        assert len(said) < 1_000


E164 = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)


@given(E164 | st.from_regex(r"\+(1|44|49|39|52|54|55|7|81|86|91)[0-9]{8,11}", fullmatch=True))
@example("+9800000")
def test_a_canonical_number_stays_as_it_is(digits: str) -> None:
    try:
        once = parse_recipient(digits)
    except InvalidAddress:
        return
    assert parse_recipient(str(once)) == once == parse_sender(once.value).address
    assert parse_recipient(f"rcs:{once}") == Address(Channel.RCS, once.value)


@given(st.lists(st.sampled_from(["", " ", "-", ".", "(", ")", "\u00a0"]), min_size=12, max_size=12))
def test_fillers_say_nothing(fillers: list[str]) -> None:
    text = "+" + "".join(digit + filler for digit, filler in zip("819012345678", fillers, strict=True))
    assert str(parse_recipient(text)) == "+819012345678"


@given(
    st.builds(Address, st.just(Channel.SMS), st.from_regex(r"[+A-Za-z0-9 ]{1,11}", fullmatch=True))
    | st.builds(Address, st.sampled_from(Channel).filter(lambda c: c is not Channel.SMS), st.text(min_size=1))
)
def test_a_stored_address_is_read_back(address: Address) -> None:
    assert Address.stored(str(address)) == address


@pytest.mark.parametrize(
    ("number", "country", "area"),
    [
        pytest.param("+14155550100", "US", "415", id="us"),
        pytest.param("+14165550100", "CA", "416", id="canada"),
        pytest.param("+12423651234", "BS", "242", id="bahamas"),
        pytest.param("+18005551212", "US", None, id="toll-free"),
        pytest.param("+19995550100", "US", None, id="new-range"),
        pytest.param("+819012345678", "JP", None, id="japan"),
        pytest.param("+819912345678", "JP", None, id="japan-new-range"),
        pytest.param("+442079460000", "GB", None, id="london"),
        pytest.param("+79161234567", "RU", None, id="russia"),
        pytest.param("+77011234567", "KZ", None, id="kazakhstan"),
        pytest.param("+80012345678", "", None, id="no-country"),
        pytest.param("+999123456789", "", None, id="unknown"),
        pytest.param("Acme", "", None, id="not-a-number"),
        pytest.param("", "", None, id="empty"),
    ],
)
def test_country_and_area_code(number: str, country: str, area: str | None) -> None:
    assert (country_code(number), area_code(number)) == (country, area)


@pytest.mark.parametrize(
    ("account", "to", "bucket"),
    [
        ("AC0123456789abcdef0123456789abcdef", "+14155550100", 0xAE),
        ("AC0123456789abcdef0123456789abcdef", "+819012345678", 0x4B),
        ("ACffffffffffffffffffffffffffffffff", "whatsapp:+14155550100", 0x78),
        ("A", "B", 0x2D),
        ("", "", 0xA1),
        ("AC0123456789abcdef0123456789abcdef", "messenger:é", 0xC2),
    ],
    ids=["us", "jp", "whatsapp", "letters", "empty", "utf-8"],
)
def test_buckets_never_change(account: str, to: str, bucket: int) -> None:
    """The figures are those of `printf 'account\\0to' | b2sum -l 8`."""
    assert bucket_of(account, to) == bucket


def test_buckets_are_spread_evenly() -> None:
    counts = [0] * 256
    for number in range(25_600):
        counts[bucket_of("AC0123456789abcdef0123456789abcdef", f"+1415555{number:05}")] += 1
    assert min(counts) > 50
    assert max(counts) < 150
