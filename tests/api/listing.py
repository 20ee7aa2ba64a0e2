"""Walking through a list by the links that its pages give, as Twilio's clients do: forth to the end, and back again."""

from typing import Any
from urllib.parse import urlsplit

from tests.api.serving import Customer

Pages = list[list[Any]]
MOST_PAGES = 100


def links_of(page: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the links to the next and the previous page, in either shape."""
    meta = page.get("meta")
    if meta is None:
        return page["next_page_uri"], page["previous_page_uri"]
    return meta["next_page_url"], meta["previous_page_url"]


async def page_at(customer: Customer, link: str) -> dict[str, Any]:
    """Return the page that a link leads to, relative or absolute."""
    parts = urlsplit(link)
    reply = await customer.call("GET", parts.path, query=parts.query.encode())
    assert reply.status == 200, reply
    page: dict[str, Any] = reply.json
    return page


async def walk(customer: Customer, first: str, key: str) -> tuple[Pages, Pages]:
    """Return the pages of a list in the order they are met: forth from `first`, then back from the last one."""
    page = await page_at(customer, first)
    forth = [page[key]]
    while (following := links_of(page)[0]) is not None:
        page = await page_at(customer, following)
        forth.append(page[key])
        assert len(forth) < MOST_PAGES, "the links lead round in a circle"
    back = [page[key]]
    while (before := links_of(page)[1]) is not None:
        page = await page_at(customer, before)
        back.append(page[key])
        assert len(back) < MOST_PAGES, "the links lead round in a circle"
    return forth, back


async def check_walk(customer: Customer, first: str, key: str, wanted: list[str]) -> None:
    """Fail unless `first` leads through exactly the SIDs `wanted`, in their order, both forth and back."""
    forth, back = await walk(customer, first, key)
    assert [item["sid"] for page in forth for item in page] == wanted
    assert [item["sid"] for page in reversed(back) for item in page] == wanted
