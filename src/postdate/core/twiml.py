"""What a customer's server answers to a message that came in: TwiML, or plain text, read as replies to send.

Only what a message can be answered with is read: `Message` (and `Sms`, its old name) and `Redirect`. Other verbs are
Twilio's to carry out and are passed over. A document type is refused, so that no entity is ever expanded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from postdate.core.callback import Answered

MOST_REPLIES: Final = 10
NOT_READABLE: Final = 12100
NOT_TWIML: Final = 12300  # by its content type
TOO_LONG: Final = 11750
TOO_MANY: Final = 14109

_XML: Final = frozenset({"", "text/xml", "application/xml", "text/html", "application/xhtml+xml"})
_MESSAGES: Final = frozenset({"Message", "Sms"})


class InvalidTwiml(ValueError):
    """An answer that says nothing we can do; the text tells the server's owner what to change, `code` is Twilio's."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Reply:
    """A message to send; None stands for the other end of what came in. URLs are as they were written."""

    body: str
    media_urls: tuple[str, ...] = ()
    to: str | None = None
    sender: str | None = None
    status_callback: str | None = None


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another document to ask for: it decides what else is done."""

    url: str
    method: str = "POST"


Verb = Reply | Redirect


def read_twiml(answer: Answered) -> list[Verb]:
    """Return what a server's answer asks for, in order and up to its first Redirect; raise InvalidTwiml."""
    if not answer.whole:
        raise InvalidTwiml(TOO_LONG, "The answer is longer than 64 kB, broke off, or came compressed.")
    kind = answer.content_type.partition(";")[0].strip().lower()
    if not answer.body.strip():
        return []
    if kind == "text/plain":
        text = answer.body.decode("utf-8-sig", "replace").strip()
        if "\0" in text:
            raise InvalidTwiml(NOT_READABLE, "The answer has a NUL character (U+0000): remove it.")
        return [Reply(text)]
    if kind not in _XML:
        raise InvalidTwiml(NOT_TWIML, "The answer is neither TwiML nor plain text: send it as text/xml or text/plain.")
    verbs = _up_to_redirect(_parsed(answer.body))
    if sum(isinstance(verb, Reply) for verb in verbs) > MOST_REPLIES:
        raise InvalidTwiml(TOO_MANY, f"The answer has more than {MOST_REPLIES} messages: send the rest over the API.")
    return verbs


class _WithoutDoctype(TreeBuilder):
    def doctype(self, name: str, public_id: str | None, system: str | None) -> None:
        """Refuse what entities could be declared in."""
        raise InvalidTwiml(NOT_READABLE, "TwiML has no document type: leave the <!DOCTYPE> out.")


def _parsed(body: bytes) -> Element:
    parser = XMLParser(target=_WithoutDoctype())
    try:
        parser.feed(body.lstrip())  # what follows is allowed, and may be half a character of UTF-16
        root: Element = parser.close()
    except (ParseError, ValueError, LookupError) as error:
        if isinstance(error, InvalidTwiml):
            raise
        raise InvalidTwiml(NOT_READABLE, "The answer is not well-formed XML.") from None
    if root.tag != "Response":
        raise InvalidTwiml(NOT_READABLE, "The answer is not TwiML: its outermost element must be <Response>.")
    return root


def _up_to_redirect(root: Element) -> list[Verb]:
    verbs: list[Verb] = []
    for element in root:
        if element.tag in _MESSAGES:
            verbs.append(_reply(element))
        elif element.tag == "Redirect":
            verbs.append(Redirect(_text(element), element.get("method", "POST").upper()))
            break
    return verbs


def _reply(element: Element) -> Reply:
    bodies = [_text(child) for child in element if child.tag == "Body"]
    return Reply(
        body="".join(bodies) if bodies else "".join(_own_text(element)).strip(),
        media_urls=tuple(_text(child) for child in element if child.tag == "Media"),
        to=element.get("to"),
        sender=element.get("from"),
        status_callback=element.get("action") or element.get("statusCallback"),
    )


def _text(element: Element) -> str:
    return "".join(element.itertext()).strip()


def _own_text(element: Element) -> Iterator[str]:
    """Yield what stands in an element beside its children."""
    yield element.text or ""
    for child in element:
        yield child.tail or ""
