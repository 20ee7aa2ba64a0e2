// Parts of a page that renew themselves (`data-live`): not while nobody looks or somebody is busy in them, without a jump.
"use strict";
(() => {
  const busy = (place) => {
    const here = document.activeElement;
    if (place.contains(here) && here.matches("input, select, textarea")) return true;
    if (place.querySelector("dialog[open], input:checked")) return true;
    const chosen = document.getSelection();
    return Boolean(chosen && !chosen.isCollapsed && place.contains(chosen.anchorNode));
  };

  const kept = new Map();

  document.addEventListener("htmx:beforeRequest", (event) => {
    const place = event.detail.elt;
    if (place.matches("[data-live]") && (document.hidden || busy(place))) event.preventDefault();
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const place = event.detail.elt;
    if (!place.matches("[data-live]")) return;
    // What came instead of the news is a page that says why there are none: the old rows are worth more.
    if (event.detail.xhr.status >= 400 || busy(place)) {
      event.detail.shouldSwap = false;
      return;
    }
    const table = place.querySelector(".table");
    kept.set(place.id, {
      open: [...place.querySelectorAll("details[id][open]")].map((one) => one.id),
      top: table ? table.scrollTop : 0,
      left: table ? table.scrollLeft : 0,
    });
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    const state = kept.get(event.detail.elt.id);
    const place = document.getElementById(event.detail.elt.id);
    if (!state || !place) return;
    kept.delete(place.id);
    for (const id of state.open) {
      const one = document.getElementById(id);
      if (one) one.open = true;
    }
    const table = place.querySelector(".table");
    if (table) table.scrollTo(state.left, state.top);
  });
})();
