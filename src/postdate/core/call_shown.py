"""What people are shown of a call to a customer: bounded, as text, whatever was sent back."""

from typing import Final

from postdate.core.callback import Answered, CallbackResult

MOST: Final = 1_024  # characters of the form, bytes of the body


def shown_result(result: CallbackResult) -> tuple[int | None, str | None, str]:
    """Return the HTTP status, or else why there is none; and how the body of the answer begins."""
    if isinstance(result, Answered):
        return result.status, None, result.body[:MOST].decode("utf-8", "replace").replace("\0", "\ufffd")
    return None, result.why, ""


def shown_request(form: str) -> str:
    """Return how the form begins, as it was sent."""
    return form[:MOST]
