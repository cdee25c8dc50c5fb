// The history as a table. While it is visible it polls the kernel, one request at a time.

const SOON = 1000, LATER = 5000;
const HEADINGS = ["Preview", "Operation", "Status", "When", "Time", "Image", "Caption or error", "Actions"];
const BADGES = { succeeded: "real", failed: "failed", refused: "failed" };

function seconds(row, now) {
  if (!row.submitted) return "";
  const passed = Math.max(0, (row.finished ?? now) - row.submitted);
  return passed < 100 ? `${passed.toFixed(1)} s` : `${Math.round(passed / 60)} min`;
}

// Returns when a task was sent: the time, before today with the day; the full time is its title.
function when(row) {
  if (!row.submitted) return "";
  const at = new Date(1000 * row.submitted);
  const clock = { hour: "2-digit", minute: "2-digit" };
  const today = at.toDateString() === new Date().toDateString();
  const text = at.toLocaleString(undefined, today ? clock : { day: "numeric", month: "short", ...clock });
  return make("time", { datetime: at.toISOString(), title: at.toLocaleString() }, text);
}

// The roles keep it a table for screen readers where it is drawn as a list.
function cell(name, ...children) {
  return make("td", { class: name, role: "cell" }, ...children);
}

function tableRow(model, row, now, src) {
  const share = row.progress === null ? "" : ` ${Math.round(100 * row.progress)} %`;
  const status = make("span", `io-badge ${row.open ? "mine" : BADGES[row.status] ?? ""}`, row.status + share);
  const name = `${row.operation} ${row.task}`;
  const action = (text, label, press) => button({ class: "io-btn s", "aria-label": label }, press, text);
  return make("tr", { role: "row", "data-task": row.task },
    cell("look", make("img", { class: "io-pic", alt: "", ...(src && { src }) })),
    cell("operation", row.operation, " ", make("span", "model", row.model)), cell("status", status),
    cell("when", when(row)),
    cell("num time", seconds(row, now)), cell("image", row.image), cell("said", words("span", "", row.said)),
    cell("actions",
      action("Open", `open ${name}`, () => model.send({ kind: "open", task: row.task })),
      action("Open in form", `open in form ${name}`, () => model.send({ kind: "again", task: row.task })),
      // Without a clipboard the button shows the code, so that it can be selected.
      action("Copy code", `copy ${name} as code`, (pressed) => copy(pressed, row.line, () => row.line, 2500))));
}

function filters(changed) {
  const search = make("input", {
    class: "io-input", type: "search", placeholder: "Search the history", "aria-label": "Search the history",
  });
  const open = make("input", { type: "checkbox" });
  const bar = make("div", "io-row filters", search, make("label", "io-check", open, "Unfinished only"));
  search.addEventListener("input", changed);
  open.addEventListener("change", changed);
  const matches = (row) => (!open.checked || row.open)
    && [row.operation, row.model, row.status, row.image, row.said, row.task]
      .some((text) => text.toLowerCase().includes(search.value.toLowerCase()));
  return { bar, matches };
}

function render({ model, el }) {
  const body = make("tbody", { role: "rowgroup" });
  const { bar, matches } = filters(() => show());
  const headings = HEADINGS.map((label) => make("th", { role: "columnheader" }, label));
  for (const at of [0, -1]) {
    headings.at(at).replaceChildren(make("span", "io-visually-hidden", HEADINGS.at(at)));
  }
  const head = make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...headings));
  const none = make("p", "io-quiet none");
  const table = make("table", { class: "io-table", role: "table", "aria-label": "History" }, head, body);
  const wide = make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "History" }, table, none);
  const root = add(el, "div", "imgopen-history imgopen", bar, wide);

  let visible = false, asking = false, timer = null, readAt = Date.now(), kernelTime = model.get("now");
  // The kernel's clock may differ from the browser's: only the time since then is measured here.
  const clock = () => kernelTime + (Date.now() - readAt) / 1000;
  const anyOpen = () => model.get("rows").some((row) => row.open);

  // Small images, by the task and its status: one that has ended may show its result.
  const looks = new Map();
  const keyOf = (row) => `${row.task} ${row.status}`;
  const ask = () => {
    const wanted = model.get("rows").filter((row) => !looks.has(keyOf(row)));
    for (const row of wanted) looks.set(keyOf(row), "");
    if (wanted.length) model.send({ kind: "looks", tasks: wanted.map((row) => row.task) });
  };

  function show() {
    const rows = model.get("rows").filter(matches);
    const focus = document.activeElement?.getAttribute?.("aria-label");
    body.replaceChildren(...rows.map((row) => tableRow(model, row, clock(), looks.get(keyOf(row)))));
    table.hidden = !rows.length;
    none.hidden = Boolean(rows.length);
    none.textContent = model.get("rows").length
      ? "No task matches: change the search." : "No task yet: %imgopen describe IMAGE makes one.";
    if (focus) [...root.querySelectorAll("button")].find((b) => b.getAttribute("aria-label") === focus)?.focus();
  }

  function poll() {
    if (visible && !asking) {
      asking = true;
      model.send({ kind: "news" });
    }
    timer = setTimeout(poll, anyOpen() ? SOON : LATER);
  }

  const answered = (message, buffers) => {
    const seen = message?.kind === "look" && model.get("rows").find((row) => row.task === message.task);
    if (seen && buffers?.length) {
      URL.revokeObjectURL(looks.get(keyOf(seen)));
      looks.set(keyOf(seen), jpegUrl(buffers[0]));
      const image = body.querySelector(`[data-task="${CSS.escape(seen.task)}"] img`);
      if (image) image.src = looks.get(keyOf(seen));
    }
    if (message?.kind !== "read") return;
    asking = false;
    if (anyOpen()) show(); // the elapsed times change
  };
  const changed = () => {
    kernelTime = model.get("now");
    readAt = Date.now();
    show();
    ask();
  };
  const watcher = new IntersectionObserver((entries) => { visible = entries.at(-1).isIntersecting; });
  watcher.observe(root);
  timer = setTimeout(poll, SOON);
  const stopKeys = suppressShortcuts((target) => root.contains(target));
  const stopModel = listenTo(model, { "msg:custom": answered, "change:rows": changed });
  show();
  ask();
  return () => {
    clearTimeout(timer);
    for (const url of looks.values()) if (url) URL.revokeObjectURL(url);
    watcher.disconnect();
    stopKeys();
    stopModel();
  };
}

export default { render };
