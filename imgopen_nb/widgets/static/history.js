// The history as a table. While it is visible it polls the kernel, one request at a time.

const SOON = 1000, LATER = 5000;
const HEADINGS = ["operation", "model", "status", "time", "image", "caption or error", ""];

function seconds(row, now) {
  if (!row.submitted) return "";
  const passed = Math.max(0, (row.finished ?? now) - row.submitted);
  return passed < 100 ? `${passed.toFixed(1)} s` : `${Math.round(passed / 60)} min`;
}

function tableRow(model, row, now) {
  const share = row.progress === null ? "" : ` ${Math.round(100 * row.progress)} %`;
  const status = make("span", `imgopen-status ${row.open ? "open" : row.status}`, row.status + share);
  const name = `${row.operation} ${row.task}`;
  const action = (text, label, press) => button({ "aria-label": label }, press, text);
  return make("tr", "",
    make("td", "", row.operation), make("td", "", row.model), make("td", "", status),
    make("td", "number", seconds(row, now)), make("td", "text", row.image), make("td", "text", row.said),
    make("td", "",
      action("Open", `open ${name}`, () => model.send({ kind: "open", task: row.task })),
      action("Run again", `run again ${name}`, () => model.send({ kind: "again", task: row.task })),
      // Without a clipboard the button shows the code, so that it can be selected.
      action("Code", `copy ${name} as code`, (pressed) => copy(pressed, row.line, () => row.line, 2500))));
}

function filters(changed) {
  const search = make("input", {
    type: "search", placeholder: "search", "aria-label": "search in the history",
  });
  const open = make("input", { type: "checkbox" });
  const bar = make("div", "imgopen-filters", search, make("label", "", open, " unfinished only"));
  search.addEventListener("input", changed);
  open.addEventListener("change", changed);
  const matches = (row) => (!open.checked || row.open)
    && [row.operation, row.model, row.status, row.image, row.said, row.task]
      .some((text) => text.toLowerCase().includes(search.value.toLowerCase()));
  return { bar, matches };
}

function render({ model, el }) {
  const body = make("tbody");
  const { bar, matches } = filters(() => show());
  const head = make("thead", "", make("tr", "", ...HEADINGS.map((label) => make("th", "", label))));
  const wide = make("div", "wide", make("table", "", head, body));
  const root = add(el, "div", "imgopen-history imgopen", bar, wide);

  let visible = false, asking = false, timer = null, readAt = Date.now(), kernelTime = model.get("now");
  // The kernel's clock may differ from the browser's: only the time since then is measured here.
  const clock = () => kernelTime + (Date.now() - readAt) / 1000;
  const anyOpen = () => model.get("rows").some((row) => row.open);

  function show() {
    const rows = model.get("rows").filter(matches);
    const focus = document.activeElement?.getAttribute?.("aria-label");
    body.replaceChildren(...rows.map((row) => tableRow(model, row, clock())));
    if (!rows.length) add(body, "tr", "", "nothing yet");
    if (focus) [...root.querySelectorAll("button")].find((b) => b.getAttribute("aria-label") === focus)?.focus();
  }

  function poll() {
    if (visible && !asking) {
      asking = true;
      model.send({ kind: "news" });
    }
    timer = setTimeout(poll, anyOpen() ? SOON : LATER);
  }

  const answered = (message) => {
    if (message?.kind !== "read") return;
    asking = false;
    if (anyOpen()) show(); // the elapsed times change
  };
  const changed = () => {
    kernelTime = model.get("now");
    readAt = Date.now();
    show();
  };
  const watcher = new IntersectionObserver((entries) => { visible = entries.at(-1).isIntersecting; });
  watcher.observe(root);
  show();
  timer = setTimeout(poll, SOON);
  const stopKeys = suppressShortcuts((target) => root.contains(target));
  const stopModel = listenTo(model, { "msg:custom": answered, "change:rows": changed });
  return () => {
    clearTimeout(timer);
    watcher.disconnect();
    stopKeys();
    stopModel();
  };
}

export default { render };
