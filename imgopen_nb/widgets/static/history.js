// The history as a table. While it is seen it asks the kernel for news, one question at a time.

const SOON = 1000, LATER = 5000;

const element = (name, text = "", className = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
};

const seconds = (row, now) => {
  if (!row.submitted) return "";
  const passed = Math.max(0, (row.finished ?? now) - row.submitted);
  return passed < 100 ? `${passed.toFixed(1)} s` : `${Math.round(passed / 60)} min`;
};

function button(text, label, press) {
  const made = element("button", text);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.addEventListener("click", () => press(made));
  return made;
}

async function copy(made, line) {
  try {
    await navigator.clipboard.writeText(line);
    made.textContent = "Copied";
  } catch {
    made.textContent = line; // no clipboard without TLS: show it, so that it can be selected
  }
  setTimeout(() => { made.textContent = "Code"; }, 2500);
}

function line(model, row, now) {
  const made = element("tr");
  const share = row.progress === null ? "" : ` ${Math.round(100 * row.progress)} %`;
  const status = element("td");
  status.append(element("span", row.status + share, `imgopen-status ${row.open ? "open" : row.status}`));
  const cells = [
    element("td", row.operation), element("td", row.model), status,
    element("td", seconds(row, now), "number"), element("td", row.image, "text"), element("td", row.said, "text"),
  ];
  const actions = element("td");
  const name = `${row.operation} ${row.task}`;
  actions.append(
    button("Open", `open ${name}`, () => model.send({ kind: "open", task: row.task })),
    button("Run again", `run again ${name}`, () => model.send({ kind: "again", task: row.task })),
    button("Code", `copy ${name} as code`, (pressed) => copy(pressed, row.line)),
  );
  made.append(...cells, actions);
  return made;
}

function head(labels) {
  const row = element("tr");
  row.append(...labels.map((label) => element("th", label)));
  const made = element("thead");
  made.append(row);
  return made;
}

function filters(changed) {
  const bar = element("div", "", "imgopen-filters");
  const search = element("input");
  search.type = "search";
  search.placeholder = "search";
  search.setAttribute("aria-label", "search in the history");
  const open = element("input");
  open.type = "checkbox";
  const label = element("label", " only what is open");
  label.prepend(open);
  bar.append(search, label);
  search.addEventListener("input", changed);
  open.addEventListener("change", changed);
  const keep = (row) => (!open.checked || row.open)
    && [row.operation, row.model, row.status, row.image, row.said, row.task]
      .some((text) => text.toLowerCase().includes(search.value.toLowerCase()));
  return { bar, keep };
}

function render({ model, el }) {
  const root = element("div", "", "imgopen-history");
  const body = element("tbody");
  const table = element("table");
  const { bar, keep } = filters(() => show());
  table.append(head(["operation", "model", "status", "time", "picture", "caption or error", ""]), body);
  const wide = element("div", "", "wide");
  wide.append(table);
  root.append(bar, wide);
  el.append(root);

  const started = Date.now();
  let visible = false, asked = 0, timer = null, first = model.get("now");
  // The kernel's clock may differ from the browser's: only what passes here is taken from here.
  const clock = () => first + (Date.now() - readAt) / 1000;
  let readAt = started;
  const anyOpen = () => model.get("rows").some((row) => row.open);

  function show() {
    const rows = model.get("rows").filter(keep);
    const focus = document.activeElement?.getAttribute?.("aria-label");
    body.replaceChildren(...rows.map((row) => line(model, row, clock())));
    if (!rows.length) body.append(element("tr", "nothing yet"));
    if (focus) [...root.querySelectorAll("button")].find((b) => b.getAttribute("aria-label") === focus)?.focus();
  }

  function ask() {
    if (visible && !asked) {
      asked = Date.now();
      model.send({ kind: "news" });
    }
    timer = setTimeout(ask, anyOpen() ? SOON : LATER);
  }

  const heard = (message) => {
    if (message?.kind !== "read") return;
    asked = 0;
    if (anyOpen()) show(); // the times go on
  };
  const changed = () => {
    first = model.get("now");
    readAt = Date.now();
    show();
  };
  // Jupyter's shortcuts stay away from the buttons; those with Ctrl still work.
  const guard = (event) => {
    if (!root.contains(event.target)) return;
    if (event.ctrlKey || event.metaKey) delete event.target.dataset.lmSuppressShortcuts;
    else event.target.dataset.lmSuppressShortcuts = "history";
  };
  window.addEventListener("keydown", guard, true);
  const watcher = new IntersectionObserver((entries) => { visible = entries.at(-1).isIntersecting; });
  watcher.observe(root);
  model.on("msg:custom", heard);
  model.on("change:rows", changed);
  show();
  timer = setTimeout(ask, SOON);
  return () => {
    clearTimeout(timer);
    watcher.disconnect();
    window.removeEventListener("keydown", guard, true);
    model.off("msg:custom", heard);
    model.off("change:rows", changed);
  };
}

export default { render };
