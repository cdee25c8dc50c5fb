// A form: the ipywidgets of its fields, and around them what ipywidgets cannot draw.

const ICONS = {
  play: '<path d="M5 3.2v9.6L12.5 8 5 3.2Z" fill="currentColor"/>',
  stop: '<rect x="4" y="4" width="8" height="8" rx="1" fill="currentColor"/>',
  right: '<path d="m6 4 4 4-4 4"/>',
  reset: '<path d="M3.2 5.5A5.3 5.3 0 1 1 2.7 9"/><path d="M3 2.5v3.200h3.200"/>',
  retry: '<path d="M13 4v3.200H9.800"/><path d="M12.700 7.200A5 5 0 1 0 13 9.500"/>',
  warn: '<path d="M8 2.500 14.200 13.500H1.800L8 2.500Z"/><path d="M8 6.500v3.500M8 11.800v.2"/>',
  dice: '<rect x="2.500" y="2.500" width="11" height="11" rx="2"/><g fill="currentColor" stroke="none"><circle cx="5.500" cy="5.500" r="1.100"/><circle cx="10.500" cy="5.500" r="1.100"/><circle cx="8" cy="8" r="1.100"/><circle cx="5.500" cy="10.500" r="1.100"/><circle cx="10.500" cy="10.500" r="1.100"/></g>',
  brush: '<path d="M13.5 2.5 7 9"/><path d="M7 9c-1.700-.6-3.300.3-3.600 2-.2 1-.7 1.700-1.400 2.200 2.400.8 5.300.2 5.900-2.200.2-.8-.2-1.600-.9-2Z"/>',
  save: '<path d="M8 2v8M4.700 7 8 10.300 11.300 7M2.500 13.500h11"/>',
  use: '<path d="M6.500 2.500h6a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-6"/><path d="M2 8h7.500M6.800 5.200 9.600 8l-2.800 2.800"/>',
  compare: '<rect x="2" y="3" width="12" height="10" rx="1"/><path d="M8 1.500v13M4.200 8h1.600M10.200 8h1.600"/>',
  code: '<path d="M5.500 4 1.800 8l3.700 4M10.500 4l3.700 4-3.700 4"/>',
  copy: '<rect x="5.500" y="5.500" width="8" height="8" rx="1"/><path d="M10.500 5.500v-2a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1h2"/>',
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "io-i");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = ICONS[name];
  return svg;
}

let lastId = 0;
const newId = () => `imgopen-form-${++lastId}`;

// Puts an icon into an ipywidgets button, which draws itself anew whenever it changes.
function decorate(view, name, ...more) {
  const draw = () => {
    if (!view.el.querySelector("svg")) view.el.prepend(icon(name));
    for (const each of more) if (!view.el.contains(each)) view.el.append(each);
  };
  draw();
  new MutationObserver(draw).observe(view.el, { childList: true });
}

// One field: its label with the default, the control, the error and the help.
function makeField(about, order) {
  const box = make("div", { class: `io-field${about.wide ? " wide" : ""}`, "data-field": about.name });
  const ids = { label: newId(), error: newId(), help: newId() };
  const head = add(box, "div", "io-label");
  const label = add(head, "label", { id: ids.label }, about.label);
  if (about.unit) add(head, "span", "unit", about.unit);
  const dot = add(head, "i", { class: "changed", title: "changed" });
  const help = make("p", { class: "io-help", id: ids.help }, about.help);
  help.hidden = true;
  if (about.help) {
    head.append(button(
      { class: "more", "aria-label": `About ${about.label}`, "aria-expanded": "false" },
      (pressed) => {
        help.hidden = !help.hidden;
        pressed.setAttribute("aria-expanded", String(!help.hidden));
      }, "?"));
  }
  const aside = add(head, "span", "aside");
  const reset = button({ class: "io-link" }, () => order("reset", about.name),
    about.default ? `reset to ${about.default}` : "clear");
  reset.setAttribute("aria-label", `${about.label}: ${reset.textContent}`);
  const refresh = button({ class: "io-link", title: "Ask the service for its list again" },
    () => order("refresh", about.name), "refresh list");
  const row = add(box, "div", "slot");
  const error = add(box, "p", { class: "io-error", id: ids.error, role: "alert" });
  box.append(help);
  let input = null;

  const show = (state = {}) => {
    dot.hidden = !state.changed;
    if (state.changed) aside.replaceChildren(reset);
    else if (about.counted && about.listed) aside.textContent = "";
    else if (about.listed) aside.replaceChildren(refresh);
    else aside.textContent = about.required ? "required" : about.default ? "default" : "";
    if (error.lastChild?.textContent !== (state.error ?? "")) {
      error.replaceChildren(...(state.error ? [icon("warn"), make("span", "", state.error)] : []));
    }
    error.hidden = !state.error;
    input?.setAttribute("aria-invalid", String(Boolean(state.error)));
    input?.setAttribute("aria-describedby", state.error ? `${ids.error} ${ids.help}` : ids.help);
  };

  const fill = async (model, references) => {
    let target = row;
    const { folded } = about;
    const views = [];
    if (folded) {
      const file = make("details", "from-file");
      add(file, "summary", "", icon("right"), folded.title);
      target = add(file, "div", "slot");
      row.after(file);
    }
    for (const [at, reference] of references.entries()) {
      if (folded && at === folded.parts) target = row;
      views.push(await placeWidget(model, reference, target));
    }
    row.classList.toggle("picture", Boolean(about.picture));
    nameControl(views[0]);
    if (about.range) addSlider(views[0]);
    if (about.counted) addCount(views[0]);
    for (const view of views.slice(1)) {
      if (view.el.matches(".imgopen-dice")) {
        view.el.replaceChildren(icon("dice"));
        view.el.classList.add("io-btn", "icon");
        view.el.setAttribute("aria-label", "Random seed");
      } else if (view.el.matches("button")) {
        view.el.classList.add("io-btn");
        decorate(view, "brush");
      } else if (view.el.querySelector("select")) {
        const menu = view.el.querySelector("select");
        menu.setAttribute("aria-label", `${about.label}: ${view.model.get("tooltip")}`);
        view.el.classList.add("io-select");
        if (about.counted) head.append(view.el); // what is added to a prompt: the text keeps its width
      }
    }
    return views;
  };

  const nameControl = (view) => {
    input = view.el.querySelector("input, textarea, select");
    if (input) {
      input.id ||= newId();
      label.htmlFor = input.id;
      if (input.matches("select")) view.el.classList.add("io-select");
      else input.classList.add("io-input");
      if (about.required) input.setAttribute("aria-required", "true");
      if (about.number) input.setAttribute("inputmode", "decimal");
      return;
    }
    view.el.classList.add("io-seg");
    view.el.setAttribute("role", "group");
    view.el.setAttribute("aria-labelledby", ids.label);
    const press = () => {
      for (const [at, each] of [...view.el.querySelectorAll("button")].entries()) {
        each.setAttribute("aria-pressed", String(at === view.model.get("index")));
      }
    };
    press();
    view.model.on("change:index", () => setTimeout(press));
  };

  // A slider for the mouse; the keyboard has the box, in which the arrows go one step.
  const addSlider = (view) => {
    const { min, max, step } = about.range;
    row.classList.add("io-range");
    const slider = make("input", {
      type: "range", min, max, step, tabindex: "-1", "aria-label": `${about.label}, slider`,
    });
    row.prepend(slider);
    const set = (value) => {
      view.model.set("value", String(value));
      view.model.save_changes();
    };
    const follow = () => {
      const given = parseFloat(view.model.get("value") || about.default || min);
      const at = Number.isFinite(given) ? given : min;
      slider.value = at;
      slider.style.setProperty("--at", `${100 * Math.min(1, Math.max(0, (at - min) / (max - min)))}%`);
      slider.classList.toggle("unset", view.model.get("value") === "");
    };
    slider.addEventListener("input", () => set(Number(Number(slider.value).toFixed(4))));
    input.addEventListener("keydown", (event) => {
      const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (!way || accelerated(event)) return;
      event.preventDefault();
      const now = parseFloat(input.value || about.default || min) || 0;
      const next = now + way * step * (event.shiftKey ? 10 : 1);
      set(Number(Math.min(max, Math.max(min, next)).toFixed(4)));
    });
    view.model.on("change:value", follow);
    follow();
  };

  const addCount = (view) => {
    const count = make("span", "unit");
    label.after(count);
    const follow = () => {
      const { length } = view.model.get("value");
      count.textContent = length ? `${length} characters` : "";
    };
    view.model.on("change:value", follow);
    follow();
  };

  const focus = () => {
    box.closest("details")?.setAttribute("open", "");
    (input ?? row.querySelector("button"))?.focus();
  };

  return { box, show, fill, focus };
}

// Usual shapes of an image: one sets the width and the height together.
const SHAPES = { "1:1": [1, 1], "3:2": [3, 2], "2:3": [2, 3], "16:9": [16, 9] };
const STEP = 8; // pixels

function makeShapes(width, height) {
  const name = newId();
  const row = make("div", { class: "io-seg", role: "radiogroup", "aria-label": "Aspect ratio" });
  const read = (view) => parseFloat(view.model.get("value"));
  const set = (view, pixels) => {
    view.model.set("value", String(STEP * Math.round(pixels / STEP)));
    view.model.save_changes();
  };
  const radios = Object.entries({ ...SHAPES, Free: null }).map(([text, shape]) => {
    const radio = make("input", { type: "radio", name });
    row.append(make("label", "", radio, text));
    radio.addEventListener("change", () => {
      if (!shape) return;
      const long = Math.max(read(width) || 0, read(height) || 0) || 512;
      set(width, long * Math.min(1, shape[0] / shape[1]));
      set(height, long * Math.min(1, shape[1] / shape[0]));
    });
    return [radio, shape];
  });
  const follow = () => {
    const [w, h] = [read(width), read(height)];
    const fits = (shape) => shape && Math.abs(w - h * shape[0] / shape[1]) < STEP;
    const found = radios.find(([, shape]) => fits(shape)) ?? radios.at(-1);
    found[0].checked = true;
  };
  for (const view of [width, height]) view.model.on("change:value", follow);
  follow();
  return make("div", "io-field wide", row);
}

function render({ model, el }) {
  const about = model.get("about");
  const order = (kind, text = "") => model.send({ kind, text });
  const root = add(el, "div", {
    class: "imgopen imgopen-form imgopen-widget", role: "group", "aria-label": about.title,
  });
  const head = add(root, "div", "io-head",
    make("h3", "io-title", about.title),
    ...(about.sandbox ? [make("span", "io-badge sandbox", "sandbox")] : []),
    make("span", "io-about", about.about));
  add(head, "span", "io-end", button({ class: "io-btn quiet s" }, () => order("reset"), icon("reset"), "Reset all"));
  const lost = add(root, "div", { role: "alert" });
  const columns = add(root, "div", "columns");
  const form = add(columns, "div", { class: "parameters", role: "group", "aria-label": "Parameters" });
  const fields = new Map();
  const summaries = new Map();
  const folds = [];
  const listed = new Set();
  const asked = new Set();
  const more = make("div", { class: "parameters more", role: "group", "aria-label": "More parameters" });
  const narrow = el.getBoundingClientRect().width || innerWidth;
  const run = make("div", "run");

  for (const group of about.groups) {
    const grid = make("div", "fields");
    for (const each of group.fields) {
      const field = makeField(each, order);
      fields.set(each.name, field);
      if (each.listed) listed.add(each.name);
      grid.append(field.box);
    }
    if (group.folds) {
      const line = make("span", "aside");
      const fold = make("details", "group", make("summary", "", icon("right"), group.name, line), grid);
      fold.open = group.open && narrow >= 480;
      summaries.set(group.name, line);
      folds.push(fold);
    } else form.append(grid);
  }
  form.append(run);
  more.append(...folds);

  const why = make("span", { class: "why", role: "status" });
  const result = add(columns, "div", { class: "result", role: "group", "aria-label": "Result" });
  if (folds.length) columns.append(more);
  const pane = makeResult(model, result, order, (name) => fields.get(name)?.focus());

  const show = () => {
    const states = model.get("states");
    root.classList.toggle("running", model.get("running"));
    for (const [name, field] of fields) field.show(states[name]);
    for (const [name, line] of summaries) line.textContent = model.get("summaries")[name] ?? "";
    const problems = model.get("why");
    why.replaceChildren();
    if (!problems.length || model.get("running")) return;
    const missing = problems.filter(([, , text]) => text.endsWith("is needed"));
    const wrong = problems.filter((each) => !missing.includes(each));
    const leads = (found) => found.flatMap(([name, label], at) => [
      at ? (at < found.length - 1 ? ", " : " and ") : "",
      button({ class: "io-link" }, () => fields.get(name).focus(), label),
    ]);
    why.append("To run, ",
      ...(missing.length ? ["fill in ", ...leads(missing)] : []), missing.length && wrong.length ? "; " : "",
      ...(wrong.length ? ["correct ", ...leads(wrong)] : []), ".");
  };

  const fill = async () => {
    const parts = model.get("parts");
    const views = {};
    for (const name of ["run", "cancel", "again"]) {
      [views[name]] = [await placeWidget(model, parts[name][0], run)];
      views[name].el.classList.add("io-btn", name);
    }
    views.run.el.classList.add("primary");
    decorate(views.run, "play", make("kbd", "", "Ctrl ⏎"));
    decorate(views.cancel, "stop");
    decorate(views.again, "retry");
    run.append(why);
    const [width, height] = await Promise.all([...fields].map(async ([name, field]) => {
      const [control] = await field.fill(model, parts[`field ${name}`]);
      return { name, control };
    })).then((all) => ["width", "height"].map((name) => all.find((each) => each.name === name)));
    if (width && height) fields.get("width").box.before(makeShapes(width.control, height.control));
    show();
    const { model: comm } = views.run; // anywidget's own model does not tell
    const follow = () => showLost(root, lost, comm.comm_live === false);
    comm.on("comm_live_update", follow);
    follow();
    for (const name of ["card", "compare", "next"]) await placeWidget(model, parts[name][0], pane.places[name]);
    order("ready");
  };

  // What is being typed goes with the order: it may reach the kernel later than that.
  const start = () => {
    const typed = document.activeElement.closest?.("[data-field]");
    const control = document.activeElement;
    const text = typed && control.matches(".io-input") ? { [typed.dataset.field]: control.value } : {};
    order("run", JSON.stringify(text));
  };
  // A button that a run turns off or takes away gives the keyboard to the one that is useful now.
  let inside = false;
  const watchFocus = ({ target }) => { inside = root.contains(target); };
  document.addEventListener("focusin", watchFocus);
  document.addEventListener("pointerdown", watchFocus);
  const keepFocus = () => {
    const gone = document.activeElement === document.body || document.activeElement?.matches?.(":disabled");
    if (!inside || !gone) return;
    run.querySelector(model.get("running") ? ".cancel" : ".run:enabled")?.focus();
  };
  // In the capturing phase: ipywidgets stops the keys of its text fields.
  root.addEventListener("keydown", (event) => {
    if (event.target.closest(".imgopen-form") !== root) return;
    const line = event.target.matches("input.io-input:not([list])");
    if (event.key === "Enter" && (accelerated(event) || line)) {
      event.preventDefault();
      event.stopPropagation();
      start();
    } else if (event.key === "Escape" && model.get("running")) order("cancel");
  }, true);
  root.addEventListener("focusin", (event) => {
    const name = event.target.closest?.("[data-field]")?.dataset.field;
    if (name && listed.has(name) && !asked.has(name)) {
      asked.add(name);
      order("list", name);
    }
  });

  // Ctrl+Enter is for the form; the mask painter in it has the attribute "true" and wants all keys.
  const stopKeys = suppressShortcuts(
    (target) => target.dataset?.lmSuppressShortcuts !== "true" && root.contains(target),
    (event) => accelerated(event) && event.key !== "Enter",
  );
  const names = ["states", "summaries", "why"];
  const stopModel = listenTo(model, {
    ...Object.fromEntries(names.map((name) => [`change:${name}`, show])),
    "change:running": () => { show(); setTimeout(keepFocus); },
  });
  fill().catch((error) => {
    root.append(make("p", { class: "io-note bad", role: "alert" }, `The form cannot be drawn: ${error.message}`));
    throw error;
  });
  return () => {
    stopKeys();
    stopModel();
    document.removeEventListener("focusin", watchFocus);
    document.removeEventListener("pointerdown", watchFocus);
    pane.stop();
  };
}

// Without its kernel a form can be read and copied, nothing else; what was typed stays.
function showLost(root, place, lost) {
  root.classList.toggle("lost", lost);
  place.replaceChildren(...(lost ? [make("div", "io-note odd", icon("warn"), make("div", "",
    make("strong", "", "The kernel has stopped."), make("br"),
    "What you typed is still here and can be copied. To go on, run this cell again."))] : []));
  for (const each of root.querySelectorAll("input:not([type=range], [type=file], [type=radio]), textarea")) each.readOnly = lost;
  const pressed = ".parameters button:not(.more), .parameters select, .parameters :is([type=range], [type=file], [type=radio]), "
    + ".io-head button, .result > .io-row :is(button:not(.copies), select), .film button, .others button";
  for (const each of root.querySelectorAll(pressed)) {
    if (lost) each.disabled = true;
  }
}

// The result, large, with what can be done with it; below it the earlier runs and the code.
function makeResult(model, root, order, lead) {
  const trouble = add(root, "div", { class: "io-stack", role: "alert" });
  const empty = add(root, "div", "empty", "The result appears here.");
  const figure = add(root, "figure", "io-stack");
  const main = add(figure, "img", { class: "io-pic main" });
  const others = add(figure, "div", { class: "others", role: "group", "aria-label": "Images of this run" });
  const progress = add(root, "div", "io-stack");
  const compare = add(root, "div", "slot compare");
  const actions = add(root, "div", { class: "io-row", role: "group", "aria-label": "Next steps" });
  const said = add(root, "p", { class: "io-small", role: "status" });
  const line = add(root, "p", "io-small io-quiet facts");
  const card = add(root, "div", "slot card");
  const details = add(root, "details", "io-more", make("summary", "", "Details"));
  const told = add(details, "dl", "io-facts");
  const next = add(root, "div", "slot");
  const film = add(root, "div", { class: "io-stack", role: "group", "aria-label": "Earlier runs" }, make("h4", "io-sub", "Earlier runs"));
  const strip = add(film, "ul", { class: "film", role: "list" });
  const code = makeCode(model, root);
  const urls = new Map();

  // Shows a JPEG of the model in an image; the address of the one before is given back.
  const jpeg = (image, data) => {
    if (urls.get(image)) URL.revokeObjectURL(urls.get(image));
    const url = data?.byteLength ? jpegUrl(data) : "";
    urls.set(image, url);
    if (url) image.src = url;
    else image.removeAttribute("src");
    return Boolean(url);
  };

  const action = (name, label, press, shape = name) =>
    button({ class: "io-btn" }, press, icon(shape), label);

  const show = () => {
    const outcome = model.get("outcome");
    const pictures = model.get("pictures");
    const known = Boolean(outcome.task);
    const large = jpeg(main, model.get("main"));
    figure.hidden = !large;
    main.alt = outcome.alt ? `Result: ${outcome.alt}` : "Result";
    main.classList.toggle("io-checker", Boolean(outcome.cutout));
    others.hidden = pictures.length < 2;
    others.replaceChildren(...pictures.map((data, at) => {
      const image = make("img", { class: "io-pic", alt: "" });
      jpeg(image, data);
      return button({ "aria-pressed": at === model.get("chosen"), "aria-label": `Image ${at + 1}` },
        () => order("choose", String(at)), image);
    }));
    const can = outcome.can ?? [];
    actions.replaceChildren();
    if (can.includes("save")) actions.append(action("save", "Save", () => order("save")));
    if (can.includes("use")) actions.append(makeUses(model, order));
    if (can.includes("compare")) actions.append(action("compare", "Compare with before", () => order("compare")));
    if (outcome.caption) {
      actions.append(action("caption", "Copy caption", (pressed) => copyKept(pressed, outcome.caption), "copy"));
      actions.lastChild.classList.add("copies");
    }
    if (outcome.seed) {
      actions.append(action("seed", "Use this seed", () => order("seed", outcome.seed), "dice"));
    }
    if (known) {
      actions.append(action("code", "Copy as code",
        (pressed) => copyKept(pressed, model.get("codes")[0][1])));
      actions.lastChild.classList.add("copies");
    }
    said.textContent = outcome.said ?? "";
    said.hidden = !outcome.said;
    line.replaceChildren(
      ...(outcome.badges ?? []).map((badge) => make("span", `io-badge ${badge}`, badge)),
      outcome.facts ?? "",
    );
    line.hidden = !known;
    card.hidden = !known;
    told.replaceChildren(...(outcome.details ?? []).flatMap(
      ([name, value]) => [make("dt", "", name), words("dd", "", value)]));
    details.hidden = !told.children.length;
    card.classList.toggle("bare", !large);
    actions.hidden = !known;
    trouble.replaceChildren();
    trouble.hidden = !outcome.error;
    if (outcome.error) {
      const { message, hint, task, calm } = outcome.error;
      const lines = [make("strong", "", message), hint, task].filter(Boolean);
      trouble.append(make("div", calm ? "io-note" : "io-note bad", ...(calm ? [] : [icon("warn")]),
        make("div", "io-message", ...lines.flatMap((each, at) => (at ? [make("br"), each] : [each])))));
      const [name, text] = outcome.error.lead ?? [];
      const ways = add(trouble, "div", { class: "io-row", role: "group", "aria-label": "What to do" });
      if (name) ways.append(button({ class: "io-btn primary" }, () => lead(name), text));
      ways.hidden = !name && !outcome.error.again;
      if (outcome.error.again) {
        ways.append(button({ class: "io-btn" }, () => order("run", "{}"), icon("retry"), "Run again"));
      }
    }
    empty.hidden = known || Boolean(outcome.error);
  };

  const showProgress = () => {
    const running = model.get("running");
    const { text = "", share = null } = model.get("progress");
    progress.hidden = !running;
    root.classList.toggle("waiting", running);
    if (running) {
      const bar = make("div", { class: "io-progress", role: "progressbar", "aria-label": "Progress" },
        make("i"));
      if (share !== null) bar.setAttribute("aria-valuenow", Math.round(100 * share));
      bar.firstChild.style.width = `${share === null ? 100 : 100 * share}%`;
      bar.classList.toggle("unknown", share === null);
      progress.replaceChildren(
        make("p", { class: "io-help", role: "status" }, text || "sending …"), bar);
      trouble.replaceChildren();
    }
  };

  const showFilm = () => {
    const rows = model.get("film");
    film.hidden = !rows.length;
    strip.replaceChildren(...rows.map(([task, title], at) => {
      const image = make("img", { class: "io-pic", alt: "" });
      jpeg(image, model.get("frames")[at]);
      return make("li", "", button({ title: `${title}: open this run again` },
        () => order("earlier", task), image, words("span", "", title)));
    }));
  };

  const handlers = { "change:progress": showProgress };
  for (const name of ["outcome", "main", "chosen", "pictures"]) handlers[`change:${name}`] = show;
  for (const name of ["film", "frames"]) handlers[`change:${name}`] = showFilm;
  handlers["change:running"] = () => { show(); showProgress(); };
  const stopModel = listenTo(model, handlers);
  show();
  showProgress();
  showFilm();
  const stop = () => {
    stopModel();
    code.stop();
    for (const url of urls.values()) if (url) URL.revokeObjectURL(url);
  };
  return { places: { card, compare, next }, stop };
}

// A menu of the operations that take the image shown.
function makeUses(model, order) {
  const menu = make("select", { "aria-label": "Use as input" }, make("option", { value: "" }, "Use as input"));
  for (const [name, text] of model.get("about").uses) add(menu, "option", { value: name }, text);
  menu.addEventListener("change", () => {
    if (menu.value) order("use", menu.value);
    menu.value = "";
  });
  return make("span", "io-select uses", menu);
}

// Copies a text; the button keeps its icon.
async function copyKept(pressed, text) {
  const before = [...pressed.childNodes];
  try {
    await navigator.clipboard.writeText(text);
    pressed.replaceChildren("Copied");
  } catch {
    pressed.replaceChildren("Press Ctrl+C");
  }
  setTimeout(() => pressed.replaceChildren(...before), 1500);
}

// The call as code in several languages, one shown at a time.
function makeCode(model, parent) {
  const root = add(parent, "div", { class: "io-stack", role: "group", "aria-label": "This form as code" });
  const bar = add(root, "div", "io-row", make("span", "io-sub", "Code"));
  const tabs = add(bar, "div", { class: "io-tabs", role: "tablist", "aria-label": "Language" });
  add(bar, "span", "io-quiet io-small", "Only what you changed is sent.");
  const frame = add(root, "div", { class: "io-code", role: "tabpanel", tabindex: "0" });
  const text = add(frame, "code");
  frame.append(button({ class: "io-btn quiet icon", "aria-label": "Copy the code", title: "Copy the code" },
    (pressed) => copyKept(pressed, text.textContent), icon("copy")));
  let chosen = 0;

  const show = (focus = false) => {
    const codes = model.get("codes");
    tabs.replaceChildren(...codes.map(([label], at) => button({
      role: "tab", "aria-selected": at === chosen, tabindex: at === chosen ? "0" : "-1",
    }, () => { chosen = at; show(true); }, label)));
    if (focus) tabs.children[chosen]?.focus();
    text.textContent = codes[chosen]?.[1] ?? "";
    frame.setAttribute("aria-label", codes[chosen]?.[0] ?? "");
  };
  tabs.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const { length } = model.get("codes");
    chosen = (chosen + way + length) % length;
    show(true);
  });
  show();
  return { stop: listenTo(model, { "change:codes": () => show() }) };
}

export default { render };
