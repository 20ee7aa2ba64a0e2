"""Style, scripts and pictures of the console, each at an address that names its content: kept by browsers for ever."""

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

PATH = "/static"
_TYPES = MappingProxyType(
    {
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
        "txt": "text/plain; charset=utf-8",
    }
)
_DIGEST_LETTERS = 12
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}


class _Asset(NamedTuple):
    body: bytes
    packed: bytes
    content_type: str


@cache
def _read() -> tuple[Mapping[str, str], Mapping[str, _Asset]]:
    """Return the address of each file, and the file at each address."""
    places: dict[str, str] = {}
    assets: dict[str, _Asset] = {}
    for file in (files("postdate.console") / "static").iterdir():
        stem, _, ending = file.name.rpartition(".")
        if ending not in _TYPES:
            continue
        body = file.read_bytes()
        named = f"{stem}.{hashlib.sha256(body).hexdigest()[:_DIGEST_LETTERS]}.{ending}"
        places[file.name] = f"{PATH}/{named}"
        assets[named] = _Asset(body, gzip.compress(body, mtime=0), _TYPES[ending])
    return MappingProxyType(places), MappingProxyType(assets)


def asset_path(name: str) -> str:
    """Return where a file of `static/` is, below /console; KeyError where there is none."""
    return _read()[0][name]


async def serve(request: HttpRequest) -> Response:
    """Answer one file, or 404."""
    found = _read()[1].get(request.path_params["name"])
    if found is None:
        return Response(status_code=404, headers={"cache-control": "no-store"})
    if "gzip" in request.headers.get("accept-encoding", ""):
        packed = {**_FOR_EVER, "content-encoding": "gzip"}
        return Response(found.packed, media_type=found.content_type, headers=packed)
    return Response(found.body, media_type=found.content_type, headers=_FOR_EVER)
