// Choosing in the agenda: an hour's tick stands for all of its messages, and the sum is said before anything is done.
"use strict";
(() => {
  const update = () => {
    const form = document.getElementById("agenda");
    const bar = document.getElementById("bar");
    if (!form || !bar) return;
    let sum = 0;
    for (const section of form.querySelectorAll(".hour")) {
      const hour = section.querySelector("[data-hour]");
      const ticked = section.querySelectorAll("[data-message]:checked").length;
      sum += hour && hour.checked ? Math.max(Number(hour.dataset.count), ticked) : ticked;
    }
    bar.classList.toggle("chosen", sum > 0);
    bar.querySelector("[data-open]").disabled = sum === 0;
    for (const one of form.querySelectorAll("[data-chosen]")) {
      one.dataset.hint ??= one.textContent;
      one.textContent = sum ? one.dataset.chosen.replace("{count}", sum.toLocaleString()) : one.dataset.hint;
    }
  };

  document.addEventListener("change", (event) => {
    const section = event.target.closest(".hour");
    if (!section) return;
    const messages = [...section.querySelectorAll("[data-message]")];
    const hour = section.querySelector("[data-hour]");
    if (event.target === hour) {
      for (const one of messages) one.checked = hour.checked;
    } else if (hour) {
      const ticked = messages.filter((one) => one.checked).length;
      // Ticking them one by one chooses those, not what is on other pages: only the hour's own tick does.
      if (!event.target.checked) hour.checked = false;
      hour.indeterminate = ticked > 0 && !hour.checked;
    }
    update();
  });

  document.addEventListener("htmx:afterSettle", update);
  document.addEventListener("DOMContentLoaded", update);
  update();
})();
