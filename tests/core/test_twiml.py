"""A server's answer to what came in is read as Twilio reads it, and nothing in it can do more than send messages."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.messaging_response import MessagingResponse

from postdate.core.callback import Answered
from postdate.core.twiml import InvalidTwiml, Redirect, Reply, Verb, read_twiml

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
ENTITY = '<!DOCTYPE x [<!ENTITY a "aaaa">]><Response><Message>&a;</Message></Response>'
OUTSIDE = '<!DOCTYPE x SYSTEM "file:///etc/passwd"><Response/>'


def xml(text: str, kind: str = "text/xml") -> Answered:
    return Answered(200, kind, text.encode())


def twiml(verbs: str) -> Answered:
    return xml(f"<Response>{verbs}</Response>")


LATIN = '<?xml version="1.0" encoding="ISO-8859-1"?><Response><Message>é</Message></Response>'.encode("latin-1")

HEAD_16 = '<?xml version="1.0" encoding="UTF-16"?>'
WIDE = "<Response><Message>é😀</Message></Response>\n"

READ: dict[str, tuple[Answered, list[Verb]]] = {
    "nothing": (xml(""), []),
    "blanks": (xml(" \r\n\t"), []),
    "no reply": (xml(f"{HEAD}<Response/>"), []),
    "a text": (twiml("<Message>Hi &amp; bye</Message>"), [Reply("Hi & bye")]),
    "blanks before the head": (xml(f"\n {HEAD}<Response><Message>Hi</Message></Response>"), [Reply("Hi")]),
    "another encoding": (Answered(200, "text/xml", LATIN), [Reply("é")]),
    "a wide encoding": (Answered(200, "text/xml", f"{HEAD_16}{WIDE}".encode("utf-16")), [Reply("é😀")]),
    "a wide encoding, big end first": (
        Answered(200, "text/xml", f"\ufeff{HEAD_16}{WIDE}".encode("utf-16-be")),
        [Reply("é😀")],
    ),
    "a mark of the encoding": (xml("\ufeff<Response><Message>Hi</Message></Response>"), [Reply("Hi")]),
    "plain text with such a mark": (xml("\ufeffHi", "text/plain"), [Reply("Hi")]),
    "CDATA": (twiml("<Message><![CDATA[<3]]></Message>"), [Reply("<3")]),
    "a comment": (twiml("<!-- hm --><Message>A<!-- b -->C</Message>"), [Reply("AC")]),
    "its old name": (twiml("<Sms>Hi</Sms>"), [Reply("Hi")]),
    "body and media": (
        twiml("<Message><Body>Hi</Body><Media>https://a.example/1.png</Media><Media> /2.png </Media></Message>"),
        [Reply("Hi", ("https://a.example/1.png", "/2.png"))],
    ),
    "text and media": (
        twiml("<Message>Hi <Media>https://a.example/1.png</Media></Message>"),
        [Reply("Hi", ("https://a.example/1.png",))],
    ),
    "attributes": (
        twiml('<Message to="+14155550101" from="+15005550006" action="/status">Hi</Message>'),
        [Reply("Hi", (), "+14155550101", "+15005550006", "/status")],
    ),
    "the old callback": (
        twiml('<Message statusCallback="/old">Hi</Message>'),
        [Reply("Hi", status_callback="/old")],
    ),
    "several": (twiml("<Message>1</Message><Message>2</Message>"), [Reply("1"), Reply("2")]),
    "nothing after a redirect": (
        twiml('<Message>1</Message><Redirect method="get">/b?x=1&amp;y=2</Redirect><Message>2</Message>'),
        [Reply("1"), Redirect("/b?x=1&y=2", "GET")],
    ),
    "other verbs": (twiml("<Say>Hi</Say><Message>1</Message><Hangup/>"), [Reply("1")]),
    "plain text": (xml(" Thanks! ", "text/plain; charset=utf-8"), [Reply("Thanks!")]),
    "plain text that looks like TwiML": (xml("<Response/>", "TEXT/PLAIN"), [Reply("<Response/>")]),
    "no type": (xml("<Response><Message>1</Message></Response>", ""), [Reply("1")]),
    "as a page": (xml("<Response><Message>1</Message></Response>", "text/html; charset=utf-8"), [Reply("1")]),
    "ten": (twiml('<Message>1</Message>' * 10), [Reply("1")] * 10),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_an_answer_is_read(name: str) -> None:
    answer, verbs = READ[name]
    assert read_twiml(answer) == verbs


REFUSED: dict[str, tuple[Answered, int]] = {
    "a word": (xml("ok", "text/html"), 12100),
    "cut off": (xml("<Response><Message>Hi"), 12100),
    "another document": (xml("<html><Message>Hi</Message></html>"), 12100),
    "an entity": (xml(ENTITY), 12100),
    "a document type": (xml(OUTSIDE), 12100),
    "an encoding that could hide anything": (
        xml('<?xml version="1.0" encoding="UTF-7"?><Response>+ADw-Message+AD4-Hi+ADw-/Message+AD4-</Response>'),
        12100,
    ),
    "half a pair": (twiml("<Message>Hi &#xD83D;</Message>"), 12100),
    "a NUL by its number": (twiml("<Message>Hi &#0;</Message>"), 12100),
    "another namespace": (xml('<Response xmlns="urn:x"><Message>Hi</Message></Response>'), 12100),
    "an unknown encoding": (xml('<?xml version="1.0" encoding="x-none"?><Response/>'), 12100),
    "a NUL in it": (xml("a\0b", "text/plain"), 12100),
    "JSON": (xml("{}", "application/json"), 12300),
    "a picture": (Answered(200, "image/png", b"\x89PNG"), 12300),
    "cut at its limit": (Answered(200, "text/xml", b"<Response/>", whole=False), 11750),
    "eleven": (twiml("<Message>1</Message>" * 11), 14109),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_answer_that_says_nothing_is_refused_with_twilios_code(name: str) -> None:
    answer, code = REFUSED[name]
    with pytest.raises(InvalidTwiml) as refused:
        read_twiml(answer)
    assert refused.value.code == code
    assert "Hi" not in str(refused.value)


def test_what_the_official_library_writes_is_read() -> None:
    response = MessagingResponse()
    message = response.message(to="+14155550101", action="https://a.example/status")
    message.body("予約 <確認>")
    message.media("https://a.example/1.png")
    response.message("Bye")
    response.redirect("https://a.example/next", method="GET")
    assert read_twiml(xml(str(response))) == [
        Reply("予約 <確認>", ("https://a.example/1.png",), "+14155550101", None, "https://a.example/status"),
        Reply("Bye"),
        Redirect("https://a.example/next", "GET"),
    ]


@given(st.binary(max_size=400), st.sampled_from(["text/xml", "text/plain", "text/html", "", "x/y", "\u00e9"]))
def test_whatever_is_answered_is_read_or_refused(body: bytes, kind: str) -> None:
    with suppress(InvalidTwiml):
        assert len(read_twiml(Answered(200, kind, body))) <= 11


def test_deep_nesting_is_only_a_document() -> None:
    depth = 9_000
    assert read_twiml(xml(f"<Response>{'<a>' * depth}{'</a>' * depth}<Message>1</Message></Response>")) == [Reply("1")]
