"""Logs: lines for people on a terminal, JSON for everything else, and secrets in neither.

Every record goes one way, ours and those of libraries, through the standard library's root logger to one stream. What
is named like a secret is replaced before it is written, and so is what looks like one inside a text.
"""

import logging
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED: Final = "[redacted]"
_SECRET_NAME: Final = re.compile(r"token|secret|password|passwd|authorization|credential|api_?key|signature", re.I)
# An Authorization header's value, and user info in a URL.
_SECRET_TEXT: Final = re.compile(r"\b((?:Basic|Bearer)\s+)[A-Za-z0-9+/=._~-]{6,}|(?<=://)[^/\s@]+(?=@)", re.I)
_LEVELS: Final = MappingProxyType(
    {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
)
# Each line of theirs repeats what ours say, or is of no use to an operator.
_TALKATIVE: Final = ("asyncio", "uvicorn.error", "uvicorn.access")


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace whatever is or looks like a secret; a processor of structlog."""
    return {name: _harmless(name, value) for name, value in event.items()}


def _harmless(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name):
        return REDACTED
    match value:
        case str():
            return _SECRET_TEXT.sub(lambda found: (found[1] or "") + REDACTED, value)
        case Mapping():
            return {key: _harmless(str(key), inner) for key, inner in value.items()}
        case list() | tuple():
            return [_harmless("", inner) for inner in value]
        case _:
            return value


def configure(level: str, stream: TextIO, *, people: bool) -> None:
    """Send all logs of `level` and above to `stream`: readable lines where `people` read it, else JSON."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if people else "iso", utc=not people),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                _renderer(stream, people),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))


def _renderer(stream: TextIO, people: bool) -> Processor:
    if people:
        # Tracebacks are plain: rich ones show the values of variables.
        return structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    return structlog.processors.JSONRenderer(ensure_ascii=False)
