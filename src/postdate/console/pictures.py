"""What came with a message: pictures that a browser shows in a page, and anything else, which it only saves.

A customer chose the bytes and their type, so nothing of it is ever opened as a page of its own, or kept by a browser
for whoever uses it next.
"""

from starlette.responses import Response

from postdate.api.messages import media_answer
from postdate.store.contract import MediaRow

PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def medium_response(row: MediaRow, body: bytes) -> Response:
    """Return the bytes of a medium: a picture to be shown, anything else to be saved."""
    answer = media_answer(row, body)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    headers["cache-control"] = "no-store"
    if row.content_type not in PICTURES:
        headers["content-disposition"] = f'attachment; filename="{row.sid}"'
    return Response(body, media_type=answer.content_type, headers=headers)
