// The dashboard's behaviour: live refresh, confirmation, colours, times, keyboard. Pages work by links and forms.
"use strict";

const $ = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// --- live: the server says that something changed, and each part that shows it asks for itself anew ---------------
const live = (() => {
  const mark = $("#live");
  const patience = 10_000; // ms without contact until what is shown is called stale
  let source = null;
  let contact = new Date();
  let staleTimer = 0;
  let retryTimer = 0;
  let delay = 1_000;

  function show(state, words) {
    if (mark.dataset.state === state) return;
    mark.dataset.state = state;
    $(".live-words", mark).textContent = words;
  }

  function lost() {
    if (!staleTimer) {
      show("reconnecting", "reconnecting");
      staleTimer = setTimeout(() => {
        const since = contact.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
        show("stale", `stale since ${since}`);
      }, patience);
    }
    source?.close();
    source = null;
    clearTimeout(retryTimer);
    retryTimer = setTimeout(connect, delay);
    delay = Math.min(2 * delay, 15_000);
  }

  function found() {
    const again = mark.dataset.state !== "live";
    contact = new Date();
    delay = 1_000;
    clearTimeout(staleTimer);
    staleTimer = 0;
    show("live", "live");
    return again;
  }

  function changed() {
    contact = new Date();
    htmx.trigger(document.body, "jobs:changed");
  }

  function connect() {
    if (source || document.hidden) return;
    source = new EventSource(mark.dataset.live);
    source.addEventListener("open", () => {
      if (found()) changed(); // what happened meanwhile
    });
    source.addEventListener("changed", changed);
    source.addEventListener("error", lost);
  }

  // A page that nobody looks at holds none of the few connections that a browser has for one site.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return connect();
    source?.close();
    source = null;
    show("waiting", "connecting");
  });
  addEventListener("pagehide", () => source?.close());
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) contact = new Date();
  });
  return { connect };
})();

// --- parts that refresh: not under the hands of who uses them; focus and what is unfolded stay -----------------------
function inUse(part) {
  const dialog = $("dialog[open]");
  const focused = document.activeElement;
  const typing = part.contains(focused) && focused.matches("input, select, textarea");
  const selection = getSelection();
  const copying = !selection.isCollapsed && part.contains(selection.anchorNode);
  return Boolean(dialog) || typing || $("input[type=checkbox]:checked", part) || copying;
}

function refreshesByItself(requestConfig) {
  const asked = requestConfig.triggeringEvent?.type;
  return requestConfig.verb === "get" && (asked === "jobs:changed" || asked === undefined || asked === "intersect");
}

document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, requestConfig } = event.detail;
  if (refreshesByItself(requestConfig) && inUse(elt)) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, requestConfig } = event.detail;
  if (refreshesByItself(requestConfig) && inUse(target)) event.detail.shouldSwap = false; // used since it was asked for
});

let kept = null;
document.addEventListener("htmx:beforeSwap", (event) => {
  const part = event.detail.target;
  const focused = document.activeElement;
  const places = focusable(part);
  kept = {
    open: all("details[open][id]", part).map((details) => details.id),
    focus: part.contains(focused) ? { id: focused.id, href: focused.getAttribute("href"), place: places.indexOf(focused) } : null,
  };
});
document.addEventListener("htmx:afterSettle", () => {
  if (!kept) return;
  kept.open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
  if (kept.focus && document.activeElement === document.body) {
    const { id, href, place } = kept.focus;
    const same = (id && document.getElementById(id)) || (href && $(`main a[href="${CSS.escape(href)}"]`));
    (same || focusable($("main"))[place])?.focus({ preventScroll: true });
  }
  kept = null;
  tick();
});

function focusable(part) {
  return all("a[href], button, input, select, textarea, summary", part);
}

// --- dialogs: `data-confirm` on a form asks first; `data-dialog` on a button opens a form of the page ----------------
const confirmDialog = $("#confirm");
let asking = null;

document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = event.submitter;
  const title = button?.dataset.confirm ?? form.dataset.confirm;
  if (!title || form === asking) {
    asking = null;
    return;
  }
  event.preventDefault();
  $("#confirm-title").textContent = title;
  $("#confirm-text").textContent = button?.dataset.confirmText ?? form.dataset.confirmText ?? "";
  $("#confirm-yes").textContent = (button?.textContent || "Yes").trim();
  confirmDialog.returnValue = "";
  confirmDialog.showModal();
  confirmDialog.addEventListener(
    "close",
    () => {
      if (confirmDialog.returnValue !== "confirm") return;
      asking = form;
      form.requestSubmit(button);
    },
    { once: true },
  );
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) {
    const dialog = document.getElementById(opener.dataset.dialog);
    const form = $("form", dialog);
    form.reset();
    if (opener.dataset.action) form.action = opener.dataset.action;
    for (const [name, value] of Object.entries(opener.dataset)) {
      all(`[data-fill="${name}"]`, dialog).forEach((place) => (place.textContent = value));
      if (form.elements[name]) form.elements[name].value = value;
    }
    dialog.showModal();
  }
  if (event.target.closest("[data-close]")) {
    const dialog = event.target.closest("dialog");
    dialog ? dialog.close() : event.target.closest(".toast").remove();
  }
  if (event.target.matches("dialog")) event.target.close(); // the backdrop
  for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.removeAttribute("open");
});

// --- what copies a text ------------------------------------------------------------------------------------------------
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1_500);
});

// --- colours -------------------------------------------------------------------------------------------------------------
const THEMES = { auto: "as the system has them", light: "light", dark: "dark" };
const themeButton = $("#theme");

function showTheme() {
  const chosen = localStorage.getItem("theme") || "auto";
  const use = $("use", themeButton);
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#theme-${chosen}`));
  themeButton.setAttribute("aria-label", `Colours: ${THEMES[chosen]}`);
  themeButton.title = `Colours: ${THEMES[chosen]}`;
}

themeButton.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(localStorage.getItem("theme") || "auto") + 1) % names.length];
  if (next === "auto") {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("theme", next);
    document.documentElement.dataset.theme = next;
  }
  showTheme();
  document.dispatchEvent(new Event("themechange"));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("themechange")));

// --- times: `5 min ago` grows older -----------------------------------------------------------------------------------------
function rough(seconds) {
  for (const [size, unit] of [[86_400, "d"], [3_600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}

function tick() {
  for (const time of all("time[data-relative]")) {
    const seconds = (Date.now() - new Date(time.dateTime)) / 1_000;
    const words = seconds >= 0 ? `${rough(seconds)} ago` : `in ${rough(-seconds)}`;
    if (time.textContent !== words) time.textContent = words;
  }
}

// --- keyboard: / searches, g and a letter goes to a page, Escape leaves the search and menus --------------------------------
const PAGES = { o: 0, j: 1, q: 2, w: 3, s: 4, e: 5, a: 6, u: 7 }; // places in the navigation
let going = 0;

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    all("details.menu[open]").forEach((menu) => menu.removeAttribute("open"));
    if (event.target === $("#search")) event.target.blur();
  }
  const typing = event.target.matches("input, select, textarea, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if (event.key === "/") {
    event.preventDefault();
    ($("main [data-search]") || $("#search")).focus();
  } else if (event.key === "g") {
    going = Date.now();
    return;
  } else if (Date.now() - going < 1_500 && event.key in PAGES) {
    all(".nav a")[PAGES[event.key]]?.click();
  }
  going = 0;
});

$("#nav-button").addEventListener("click", (event) => {
  const open = document.body.classList.toggle("nav-open");
  event.currentTarget.setAttribute("aria-expanded", open);
});

showTheme();
tick();
setInterval(tick, 10_000);
live.connect();
