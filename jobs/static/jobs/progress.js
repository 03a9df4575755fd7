/**
 * Jobs in the browser, without dependencies: <job-progress job-id="…" token="…"> shows a job's progress live, and
 * `follow`, `createJob`, `queueStatus` and `health` are for code that shows it in its own way.
 *
 * The element follows the server-sent events of GET /api/jobs/{id}/events. When they fail it reads the job itself,
 * and tries again, more and more seldom, until the job has ended. See docs/live-progress.md.
 */

const API = "/api/";
const ENDED = ["completed", "failed", "cancelled"];
const FIRST = 5_000; // ms in which the first event has to come: a proxy may keep all of them back
const QUIET = 30_000; // ms without an event after which the job is read: the connection may be dead
const LONGEST = 10_000; // ms between two attempts

/** What the API answered instead: `status`, and `problem` with `detail` and `errors`. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? `The server answered with ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.problem = problem;
  }
}

async function call(address, { accept = [], ...options } = {}) {
  const response = await fetch(address, { credentials: "same-origin", cache: "no-store", ...options });
  const answer = await response.json().catch(() => null);
  if (!response.ok && !accept.includes(response.status)) throw new ApiError(response.status, answer);
  return answer;
}

function csrfToken() {
  const cookie = document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/);
  return cookie ? decodeURIComponent(cookie[1]) : (document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "");
}

/**
 * Enqueue a job with the session of this page: `createJob("report", { year: 2026 }, { priority: "high" })`.
 * Resolves to `{ jobId, status, created }`, rejects with an ApiError.
 */
export function createJob(type, payload = {}, { base = API, ...options } = {}) {
  return call(`${base}jobs/enqueue`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
    body: JSON.stringify({ type, payload, ...options }),
  });
}

/** How many jobs there are: `{ waiting, active, completed, failed, delayed, paused, approximate }`. */
export async function queueStatus({ base = API } = {}) {
  const { items, next, ...counts } = await call(`${base}jobs?limit=1`);
  return counts;
}

/** Whether the platform can do its work: `{ healthy, issues, … }`, of a sick one too. */
export function health({ base = API } = {}) {
  return call(`${base}jobs/health`, { accept: [503] });
}

/**
 * Call `onChange(job)` with the job as it is and after each change, and `onEnd(job)` once it has ended.
 * `onLog(line)` gets each log line after the one whose id is `after`; with a read token there are none.
 * `onContact(live)` says whether changes come at once; `onError(error)` that the job cannot be followed: it is gone,
 * or may not be seen. Returns a function that stops it.
 */
export function follow(jobId, { token = "", base = API, after = 0, onChange, onLog, onEnd, onContact, onError } = {}) {
  const address = (tail, query) => {
    const asked = new URLSearchParams(token ? { ...query, token } : query);
    return `${base}jobs/${encodeURIComponent(jobId)}${tail}${query || token ? `?${asked}` : ""}`;
  };
  let source = null;
  let timer = 0;
  let delay = 500;
  let over = false;
  let last = "";

  function stop() {
    over = true;
    source?.close();
    clearTimeout(timer);
    removeEventListener("online", connect);
  }

  function take(job) {
    const text = JSON.stringify(job);
    if (over || text === last) return;
    last = text;
    onChange?.(job);
    if (ENDED.includes(job.status)) {
      stop();
      onEnd?.(job);
    }
  }

  /** Read the job itself. */
  async function read() {
    try {
      take(await call(address("")));
    } catch (error) {
      if (!over && [401, 403, 404, 422].includes(error.status)) {
        stop();
        onError?.(error);
      }
    }
  }

  async function lost() {
    const failed = source;
    failed.close();
    clearTimeout(timer);
    onContact?.(false);
    await read();
    if (over || source !== failed) return;
    timer = setTimeout(connect, delay);
    delay = Math.min(LONGEST, delay * 2);
  }

  async function doubt() {
    timer = setTimeout(doubt, QUIET);
    await read();
  }

  function connect() {
    if (over) return;
    source?.close();
    clearTimeout(timer);
    source = new EventSource(address("/events", { after }));
    source.addEventListener("error", lost);
    source.addEventListener("log", (event) => {
      const line = JSON.parse(event.data);
      after = line.id; // a connection that is made anew goes on there
      onLog?.(line);
    });
    source.addEventListener("job", (event) => {
      clearTimeout(timer);
      timer = setTimeout(doubt, QUIET);
      delay = 500;
      onContact?.(true);
      take(JSON.parse(event.data));
    });
    timer = setTimeout(lost, FIRST);
  }

  addEventListener("online", connect);
  connect();
  return stop;
}

const WORDS = {
  "": "Loading",
  scheduled: "Scheduled",
  pending: "Waiting",
  processing: "Running",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
};

const STYLE = `
:host { display: block; max-inline-size: 40rem; font: inherit; color: var(--job-text, inherit); }
:host([hidden]) { display: none; }
.head { display: flex; gap: 0.75em; justify-content: space-between; margin-block-end: 0.35em; }
.words { min-inline-size: 0; overflow-wrap: anywhere; }
.note::before { content: " · "; }
.note:empty::before { content: none; }
.note, .percent { color: var(--job-muted, color-mix(in srgb, currentColor 75%, transparent)); }
.percent { font-variant-numeric: tabular-nums; white-space: nowrap; }
.track { block-size: var(--job-height, 0.5em); border-radius: var(--job-radius, 99em); overflow: hidden;
  background: var(--job-track, color-mix(in srgb, currentColor 15%, transparent)); }
.bar { block-size: 100%; inline-size: var(--percent, 0%); border-radius: inherit;
  background: var(--job-bar, #2563eb); transition: inline-size 0.2s; }
:host([state="completed"]) .bar { background: var(--job-completed, #15803d); }
:host([state="failed"]) .bar { background: var(--job-failed, #b91c1c); }
:host([state="cancelled"]) .bar { background: var(--job-cancelled, #6b7280); }
.error { margin: 0.35em 0 0; color: var(--job-error, color-mix(in srgb, #dc2626 70%, currentColor)); overflow-wrap: anywhere; white-space: pre-line; }
.error:empty { display: none; }
.unknown .bar { inline-size: 30%; animation: job-wander 1.5s ease-in-out infinite alternate; }
@keyframes job-wander { from { margin-inline-start: 0; } to { margin-inline-start: 70%; } }
@media (prefers-reduced-motion: reduce) { .bar { transition: none; } .unknown .bar { animation: none; } }
@media (forced-colors: active) { .track { outline: 1px solid CanvasText; } .bar { background: Highlight; forced-color-adjust: none; } }
`;

let sheet = null; // shared; and adopted, which a policy without inline styles allows

function element(tag, name, attributes = {}) {
  const made = document.createElement(tag);
  made.className = name;
  made.setAttribute("part", name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  return made;
}

/**
 * Attributes: `job-id`, `token` (without it the session of the page), `src-base` (where the API is), `label`.
 * Shows itself in `state` (the job's status) and `connection` (`live` or `polling`). Events, with the job as `detail`:
 * `job-change`, `job-end`; and `job-error` when it cannot be followed, with the error.
 */
export class JobProgress extends (globalThis.HTMLElement ?? class {}) {
  static observedAttributes = ["job-id", "token", "src-base"];

  #stop = null;
  #parts = null;
  #asked = false;

  /** The job as it was told last; null before. */
  job = null;

  connectedCallback() {
    this.#parts ??= this.#build();
    this.#restart();
  }

  disconnectedCallback() {
    this.#stop?.();
    this.#stop = null;
  }

  attributeChangedCallback(name, before, after) {
    if (before !== after && this.isConnected && this.#parts) this.#restart();
  }

  /** Once, however many attributes a framework sets one after the other. */
  #restart() {
    if (this.#asked) return;
    this.#asked = true;
    queueMicrotask(() => {
      this.#asked = false;
      this.#stop?.();
      this.#stop = null;
      const jobId = this.getAttribute("job-id");
      if (!this.isConnected || !jobId) return;
      this.#stop = follow(jobId, {
        token: this.getAttribute("token") ?? "",
        base: this.getAttribute("src-base") ?? API,
        onChange: (job) => this.#show(job),
        onEnd: (job) => this.#tell("job-end", job),
        onContact: (live) => this.setAttribute("connection", live ? "live" : "polling"),
        onError: (error) => this.#refuse(error),
      });
    });
  }

  #build() {
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
    }
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    const head = element("div", "head");
    const words = element("span", "words");
    const state = element("span", "state", { role: "status" }); // read out when it changes, unlike each percent
    const note = element("span", "note");
    const percent = element("span", "percent", { "aria-hidden": "true" });
    const track = element("div", "track", { role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 });
    const bar = element("div", "bar");
    const error = element("p", "error", { role: "alert" });
    track.setAttribute("aria-label", this.getAttribute("label") ?? "Progress");
    words.append(state, note);
    head.append(words, percent);
    track.append(bar);
    root.append(head, track, error);
    state.textContent = WORDS[""];
    return { state, note, percent, track, bar, error };
  }

  #show(job) {
    this.job = job;
    const { state, note, percent, track, bar, error } = this.#parts;
    const detail = job.progressDetail;
    const unknown = job.status === "processing" && Boolean(detail) && !detail.total; // it counts, and not up to anything
    this.setAttribute("state", job.status);
    state.textContent = WORDS[job.status] ?? job.status;
    note.textContent = ENDED.includes(job.status) ? "" : (detail?.note ?? "");
    percent.textContent = unknown ? String(detail.done) : `${job.progress} %`;
    track.classList.toggle("unknown", unknown);
    if (unknown) track.removeAttribute("aria-valuenow");
    else track.setAttribute("aria-valuenow", job.progress);
    track.setAttribute("aria-valuetext", [state.textContent, percent.textContent, note.textContent].filter(Boolean).join(", "));
    bar.style.setProperty("--percent", `${job.progress}%`);
    error.textContent = job.status === "completed" ? "" : (job.error ?? "");
    this.#tell("job-change", job);
  }

  #refuse(error) {
    this.setAttribute("state", "error");
    this.#parts.state.textContent = "Not available";
    this.#parts.error.textContent = error.message;
    this.#tell("job-error", error);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

if (globalThis.customElements && !customElements.get("job-progress")) {
  customElements.define("job-progress", JobProgress);
}
