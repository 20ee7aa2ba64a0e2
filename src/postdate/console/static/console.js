// What a page does by itself: theme, zone, copying, dialogs, the menu on a phone, toasts. Everything else is the server's.
"use strict";
(() => {
  const YEAR = 31536000;
  const keep = (name, value) => {
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `${name}=${value}; path=/; max-age=${YEAR}; samesite=lax${secure}`;
  };

  // The zone of this browser, for whoever has chosen none.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && /^[A-Za-z0-9_+\-/]{1,64}$/.test(zone)) keep("postdate-zone", zone);

  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };

  const toast = (text) => {
    const place = document.getElementById("toasts");
    if (!place) return;
    const one = document.createElement("p");
    one.className = "toast";
    one.textContent = text;
    place.append(one);
    setTimeout(() => one.remove(), 4000);
  };

  const copy = async (button) => {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without https a browser has no clipboard for scripts: select, and use the old way.
      const area = document.createElement("textarea");
      area.value = text;
      area.setAttribute("readonly", "");
      area.className = "unseen";
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    toast(button.dataset.copied);
  };

  const menu = (open) => {
    const button = document.querySelector("[data-menu]");
    if (!button) return;
    document.body.classList.toggle("menu-open", open);
    button.setAttribute("aria-expanded", String(open));
  };

  document.addEventListener("click", (event) => {
    const on = (name) => event.target.closest(`[data-${name}]`);
    let found;
    if (on("theme-switch")) {
      const theme = dark() ? "light" : "dark";
      document.documentElement.dataset.theme = theme;
      keep("postdate-theme", theme);
    } else if ((found = on("copy"))) {
      copy(found);
    } else if ((found = on("open"))) {
      document.getElementById(found.dataset.open).showModal();
    } else if ((found = on("close"))) {
      found.closest("dialog").close();
    } else if ((found = on("dismiss"))) {
      found.parentElement.remove();
    } else if (on("menu")) {
      menu(!document.body.classList.contains("menu-open"));
    } else if (document.body.classList.contains("menu-open") && !event.target.closest("#navigation")) {
      menu(false);
    }
    // Only one menu is open at a time, and a click beside it closes it.
    for (const one of document.querySelectorAll("details.pop[open]")) {
      if (!one.contains(event.target)) one.open = false;
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu(false);
    for (const one of document.querySelectorAll("details.pop[open]")) {
      one.open = false;
      one.querySelector("summary").focus();
    }
  });

  // A choice that is carried out as soon as it is made.
  document.addEventListener("change", (event) => {
    if (event.target.closest("[data-submit]")) event.target.form.requestSubmit();
  });

  // A click on the shade behind a dialog closes it.
  document.addEventListener("mousedown", (event) => {
    if (event.target.tagName === "DIALOG") event.target.close();
  });

  window.postdate = { toast };
})();
