"""What goes out by HTTP and is no hand-off: callbacks to customers and the fetching of media, behind one gate."""

from postdate.flow.outgoing.client import Outgoing
from postdate.flow.outgoing.gate import Gate, Network, is_public
from postdate.flow.outgoing.link import ANSWER_LIMIT
from postdate.flow.outgoing.media import (
    IMAGE_LIMIT,
    MEDIA_POLICY,
    OTHER_MEDIA_LIMIT,
    Media,
    MediaFailure,
    MediaFault,
)

__all__ = [
    "ANSWER_LIMIT",
    "IMAGE_LIMIT",
    "MEDIA_POLICY",
    "OTHER_MEDIA_LIMIT",
    "Gate",
    "Media",
    "MediaFailure",
    "MediaFault",
    "Network",
    "Outgoing",
    "is_public",
]
