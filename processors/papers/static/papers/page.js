/** A paper's page: when its job changes, what the providers have said by then takes the place of what was there. */

const PAUSE = 500; // ms between two questions

const place = document.querySelector("[data-analyses]");
const form = document.querySelector("[data-analyse]");
let timer = 0;

async function refresh() {
  timer = 0;
  const answer = await fetch(place.dataset.analyses, { cache: "no-store" }).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const fresh = document.createElement("template");
  fresh.innerHTML = await answer.text();
  for (const piece of [...fresh.content.querySelectorAll("[data-piece]")]) {
    const old = place.querySelector(`[data-piece="${CSS.escape(piece.dataset.piece)}"]`);
    if (!old) place.append(piece);
    else if (old.outerHTML !== piece.outerHTML) old.replaceWith(piece); // what somebody reads stays as it is
  }
  form.hidden = place.querySelector("[form=cancel]") !== null; // a paper is analysed by one job at a time
}

function later() {
  timer ||= setTimeout(refresh, PAUSE);
}

document.addEventListener("job-change", later);
document.addEventListener("job-end", () => setTimeout(later, PAUSE)); // and once more, when all is written
