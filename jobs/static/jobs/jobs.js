// The pages about jobs: ticked rows of the list, the log that follows its end, the search among job types.
"use strict";

(() => {
  const one = (selector) => document.querySelector(selector);
  const boxes = () => [...document.querySelectorAll("#list input[name=job]")];

  function showTicked() {
    const all = one("#tick-all");
    if (!all) return;
    const form = one("#selection");
    const ticked = boxes().filter((box) => box.checked).length;
    const whole = form.elements.all.value === "1";
    const words = one("#ticked");
    all.checked = ticked > 0 && ticked === boxes().length;
    all.indeterminate = ticked > 0 && !all.checked;
    const matching = one("#all-matching");
    words.textContent = whole ? matching.dataset.words : ticked ? `${ticked} selected` : "Select all on this page";
    matching.hidden = whole || !all.checked;
    one("#do").hidden = ticked === 0;
    for (const button of form.querySelectorAll("button[data-do]")) {
      if (whole) delete button.dataset.confirm; // a page of its own asks
      else button.dataset.confirm = `${button.dataset.do} ${ticked} job${ticked === 1 ? "" : "s"}?`;
    }
  }

  let last = null;
  document.addEventListener("click", (event) => {
    if (event.target.matches("#list input[name=job]")) {
      const rows = boxes();
      if (event.shiftKey && last && rows.includes(last)) {
        const [from, to] = [rows.indexOf(last), rows.indexOf(event.target)].sort((a, b) => a - b);
        rows.slice(from, to + 1).forEach((box) => (box.checked = event.target.checked));
      }
      last = event.target;
    }
    if (event.target.closest("#all-matching")) {
      one("#selection").elements.all.value = "1";
      showTicked();
    }
  });
  document.addEventListener("change", (event) => {
    if (!event.target.matches("#tick-all, #list input[name=job]")) return;
    one("#selection").elements.all.value = "";
    if (event.target.id === "tick-all") boxes().forEach((box) => (box.checked = event.target.checked));
    showTicked();
  });
  addEventListener("pageshow", showTicked); // what a browser ticks again by itself
  document.addEventListener("htmx:afterSettle", showTicked);

  // The log: at its end it stays there, and elsewhere nothing moves under the reader.
  let place = null;
  document.addEventListener("htmx:beforeSwap", () => {
    const log = one("#log-lines");
    place = log && { top: log.scrollTop, end: log.scrollTop + log.clientHeight >= log.scrollHeight - 8 };
  });
  function follow() {
    const log = one("#log-lines");
    if (log) log.scrollTop = !place || place.end ? log.scrollHeight : place.top;
  }
  document.addEventListener("htmx:afterSettle", follow);
  follow();

  const filter = one("#types-filter");
  function narrow() {
    const wanted = filter.value.toLowerCase().trim();
    for (const type of document.querySelectorAll("#types [data-words]")) type.hidden = !type.dataset.words.toLowerCase().includes(wanted);
    one("#types-none").hidden = Boolean(one("#types [data-words]:not([hidden])"));
  }
  filter?.addEventListener("input", narrow);
  if (filter?.value) narrow(); // typed before this was loaded, or kept by the browser
})();
