// A grid of pictures: what is in view and half a screen around it is in the page, nothing more.
// `g` is one view's state; a place is a position in what is shown, a tile the kernel's number.
// Texts come from elsewhere: they are only ever set as textContent, and every `src` is a blob: URL
// of a JPEG that the kernel has made.

const GAP = 10;
const TEXT = 46; // pixels for the two lines below a picture
const KEPT = 1500; // pictures that this page remembers
const FILTERS = ["model", "operation", "status", "tag"];
const HELP = "Arrow keys move, Space selects, Shift extends, Ctrl+A selects all, Enter shows details";
let views = 0;

function make(name, className, parent, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

function button(text, parent, press) {
  const made = make("button", "", parent, text);
  made.type = "button";
  made.addEventListener("click", press);
  return made;
}

const count = (g) => (g.order ? g.order.length : g.total);
const tileAt = (g, place) => (g.order ? g.order[place] : place);
const clamp = (g, place) => Math.max(0, Math.min(count(g) - 1, place));

// What the kernel is asked and told

function send(g, content, tiles) {
  const buffers = tiles && [new Uint32Array(tiles).buffer];
  g.model.send({ ...content, by: g.by }, undefined, buffers);
}

function soon(g, name, milliseconds, act) {
  clearTimeout(g.timers[name]);
  g.timers[name] = setTimeout(() => act(g), milliseconds);
}

function ask(g) {
  const { scrollTop, clientHeight } = g.frame;
  // What flies by is not asked for.
  const flying = Math.abs(scrollTop - g.askedAt) > clientHeight;
  g.askedAt = scrollTop;
  if (flying) return soon(g, "ask", 80, ask);
  sort(g);
  const missing = [...g.shown.keys()].filter((place) => !known(g, tileAt(g, place)));
  if (!missing.length) return undefined;
  const first = missing.filter((place) => inView(g, place));
  const places = [...first, ...missing.filter((place) => !inView(g, place))];
  send(g, { kind: "view" }, places.map((place) => tileAt(g, place)));
  return soon(g, "late", 2000, tellCount);
}

function inView(g, place, from = g.frame.scrollTop) {
  const top = Math.floor(place / g.columns) * g.row;
  return top + g.row > from && top < from + g.frame.clientHeight;
}

// Tiles are used again, so the page has them in any order: screen readers read them in this one.
function sort(g) {
  const places = [...g.shown.keys()];
  if (places.every((place, at) => !at || places[at - 1] < place) && g.sorted) return;
  places.sort((a, b) => a - b);
  g.shown = new Map(places.map((place) => [place, g.shown.get(place)]));
  g.space.append(...g.shown.values());
  g.sorted = true;
}

function known(g, tile) {
  const kept = g.kept.get(tile);
  // Pictures for the static stand-in come unasked, and may come before the captions.
  return kept && kept.text !== undefined && (kept.url || kept.lost);
}

function askSoon(g) {
  if (!g.asking) {
    g.asking = setTimeout(() => { g.asking = null; ask(g); }, 60);
  }
}

function look(g) {
  const query = { kind: "query", search: g.search.value };
  for (const name of FILTERS) query[name] = g.filters[name].value;
  send(g, query);
}

// What the kernel tells

const numbers = (buffer) =>
  new Uint32Array(buffer ? buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength) : 0);

const HEARD = {
  state(g, told) {
    if (told.by === g.by) fillFilters(g, told.choices);
  },
  order(g, told, buffers) {
    g.order = numbers(buffers[0]);
    if (told.by !== g.by) showQuery(g, told.query);
    const query = JSON.stringify(told.query);
    if (query !== g.query) g.seen = g.offset = g.active = g.anchor = 0;
    g.query = query;
    lay(g);
  },
  selected(g, told, buffers) {
    if (told.by === g.by) return;
    g.chosen = new Set(numbers(buffers[0]));
    mark(g);
  },
  captions(g, told) {
    for (const [tile, text, state] of told.tiles) keep(g, tile, { text, state });
    fillAll(g);
  },
  pictures(g, told, buffers) {
    told.keys.forEach(([tile, size], at) => picture(g, tile, size, buffers[at]));
    for (const [tile, size] of told.lost) if (size < 200) keep(g, tile, { lost: true });
    trim(g);
    fillAll(g);
    askSoon(g);
  },
  details(g, told) {
    if (told.by === g.by && told.tile === g.detailed) fillDetails(g, told);
  },
};

function hear(g, told, buffers) {
  clearTimeout(g.timers.late);
  g.heard = true;
  HEARD[told.kind]?.(g, told, buffers);
  tellCount(g);
}

function keep(g, tile, more) {
  const before = g.kept.get(tile);
  g.kept.delete(tile); // the map's order is the order of use
  g.kept.set(tile, { ...before, ...more });
}

function picture(g, tile, size, buffer) {
  const url = URL.createObjectURL(new Blob([buffer], { type: "image/jpeg" }));
  if (size < 200) {
    const before = g.kept.get(tile)?.url;
    if (before) URL.revokeObjectURL(before);
    keep(g, tile, { url });
  } else if (tile === g.detailed) {
    showLarge(g, url);
  } else {
    URL.revokeObjectURL(url);
  }
}

function trim(g) {
  const inPage = new Set([...g.shown.keys()].map((place) => tileAt(g, place)));
  for (const [tile, { url }] of g.kept) {
    if (g.kept.size <= KEPT) break;
    if (inPage.has(tile) || tile === g.detailed) continue;
    if (url) URL.revokeObjectURL(url);
    g.kept.delete(tile);
  }
}

// The grid

function lay(g) {
  const width = g.frame.clientWidth - 2 * GAP;
  if (width <= 0) return; // out of the page for now: a notebook takes cells out that are far away
  // Not the frame's own position: that is lost when it comes back into the page.
  const held = g.columns && inView(g, g.active, Math.floor(g.seen / g.columns) * g.row + g.offset);
  const least = width < 420 ? 96 : 132;
  g.columns = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
  g.side = Math.floor((width - GAP * (g.columns - 1)) / g.columns);
  g.row = g.side + TEXT + GAP;
  g.space.style.height = `${Math.ceil(count(g) / g.columns) * g.row + GAP}px`;
  g.frame.scrollTop = Math.floor(g.seen / g.columns) * g.row + g.offset;
  g.none.hidden = count(g) > 0;
  g.active = clamp(g, g.active);
  for (const place of g.shown.keys()) drop(g, place);
  if (held) reveal(g, g.active);
  draw(g);
}

function reveal(g, place) {
  const top = Math.floor(place / g.columns) * g.row;
  const least = top + g.row + GAP - g.frame.clientHeight;
  if (g.frame.scrollTop > top) g.frame.scrollTop = top;
  else if (g.frame.scrollTop < least) g.frame.scrollTop = least;
}

function draw(g) {
  g.drawing = null;
  if (!g.columns) return;
  const { scrollTop, clientHeight } = g.frame;
  const around = Math.floor(clientHeight / 2 / g.row);
  const first = (Math.floor(scrollTop / g.row) - around) * g.columns;
  const last = (Math.ceil((scrollTop + clientHeight) / g.row) + around) * g.columns;
  for (const place of g.shown.keys()) if (place < first || place >= last) drop(g, place);
  for (let place = Math.max(0, first); place < Math.min(last, count(g)); place += 1) {
    if (!g.shown.has(place)) g.shown.set(place, add(g, place));
  }
  for (const element of g.spare) element.remove();
  point(g);
  askSoon(g);
}

function drop(g, place) {
  const element = g.shown.get(place);
  g.shown.delete(place);
  g.spare.push(element);
}

function newTile() {
  const element = make("div", "tile");
  element.setAttribute("role", "option");
  const box = make("div", "box", element);
  const image = make("img", "", box);
  image.decoding = "async";
  make("span", "lost", box);
  make("span", "check", element).setAttribute("aria-hidden", "true");
  make("span", "text", element).dir = "auto";
  return element;
}

function add(g, place) {
  const element = g.spare.pop() ?? newTile();
  const [row, column] = [Math.floor(place / g.columns), place % g.columns];
  if (!element.parentElement) g.space.append(element);
  g.sorted = false;
  element.id = `${g.by}-${place}`;
  element.dataset.place = place;
  element.style.width = `${g.side}px`;
  element.style.height = `${g.side + TEXT}px`;
  element.style.transform = `translate(${GAP + column * (g.side + GAP)}px, ${GAP + row * g.row}px)`;
  element.setAttribute("aria-posinset", place + 1);
  element.setAttribute("aria-setsize", count(g));
  element.filled = undefined;
  fill(g, element, place);
  return element;
}

function fill(g, element, place) {
  const tile = tileAt(g, place);
  const kept = g.kept.get(tile);
  element.setAttribute("aria-selected", g.chosen.has(tile));
  if (element.filled === kept && kept) return;
  element.filled = kept;
  const [box, , text] = element.children;
  const [image, lost] = box.children;
  text.textContent = kept?.text ?? "";
  image.alt = kept?.text ?? "";
  image.hidden = !kept?.url;
  if (kept?.url) image.src = kept.url;
  else image.removeAttribute("src");
  lost.textContent = kept?.lost ? "not at hand" : "";
  if (kept?.state) lost.textContent = kept.lost ? `${kept.state}, not at hand` : kept.state;
  lost.className = kept?.url ? "lost over" : "lost";
  element.setAttribute("aria-busy", !kept);
}

function fillAll(g) {
  for (const [place, element] of g.shown) fill(g, element, place);
}

function mark(g) {
  for (const [place, element] of g.shown) {
    element.setAttribute("aria-selected", g.chosen.has(tileAt(g, place)));
  }
  tellCount(g);
}

function point(g) {
  for (const [place, element] of g.shown) element.classList.toggle("active", place === g.active);
  if (g.shown.has(g.active)) g.frame.setAttribute("aria-activedescendant", `${g.by}-${g.active}`);
  else g.frame.removeAttribute("aria-activedescendant");
}

function tellCount(g) {
  const [all, here, chosen] = [g.total, count(g), g.chosen.size].map((n) => n.toLocaleString("en"));
  const pictures = g.total === 1 ? "picture" : "pictures";
  const parts = [all === here ? `${all} ${pictures}` : `${here} of ${all} ${pictures}`];
  if (g.chosen.size) parts.push(`${chosen} selected`);
  if (!g.heard) parts.push("waiting for the kernel");
  const text = parts.join(" · ");
  if (g.count.textContent !== text) g.count.textContent = text;
  g.clear.hidden = !g.chosen.size;
}

// Selection

function choose(g, tiles) {
  g.chosen = new Set(tiles);
  mark(g);
  soon(g, "choose", 40, () => send(g, { kind: "select" }, [...g.chosen]));
}

function toggle(g, place) {
  const chosen = new Set(g.chosen);
  const tile = tileAt(g, place);
  if (!chosen.delete(tile)) chosen.add(tile);
  g.anchor = place;
  choose(g, chosen);
}

function range(g, from, to) {
  const [first, last] = from < to ? [from, to] : [to, from];
  return Array.from({ length: last - first + 1 }, (_, at) => tileAt(g, first + at));
}

function click(g, event) {
  const element = event.target.closest?.(".tile");
  if (!element) return;
  const place = Number(element.dataset.place);
  g.active = place;
  if (event.shiftKey) {
    choose(g, range(g, g.anchor, place));
  } else if (event.ctrlKey || event.metaKey || event.target.closest(".check")) {
    toggle(g, place);
  } else {
    g.anchor = place;
    choose(g, [tileAt(g, place)]);
  }
  point(g);
  if (g.detailed !== null) showDetails(g);
}

function move(g, place, extend) {
  g.active = place;
  if (extend) choose(g, range(g, g.anchor, place));
  else g.anchor = place;
  reveal(g, place);
  draw(g);
  if (g.detailed !== null) soon(g, "details", 120, showDetails);
}

function target(g, key) {
  const page = Math.max(1, Math.floor(g.frame.clientHeight / g.row)) * g.columns;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -g.columns, ArrowDown: g.columns };
  if (key in steps) {
    const to = g.active + steps[key];
    return to === clamp(g, to) ? to : g.active;
  }
  const jumps = { Home: 0, End: Infinity, PageUp: g.active - page, PageDown: g.active + page };
  return key in jumps ? clamp(g, jumps[key]) : undefined;
}

// Do what a key asks for, and tell whether it was ours.
function press(g, event) {
  const accelerated = event.ctrlKey || event.metaKey;
  if (event.altKey || !count(g)) return false;
  if (accelerated && event.key.toLowerCase() === "a") {
    choose(g, range(g, 0, count(g) - 1));
    return true;
  }
  const to = target(g, event.key);
  if (to !== undefined && !accelerated) {
    move(g, to, event.shiftKey);
  } else if (event.key === " " && !accelerated) {
    if (event.shiftKey) choose(g, range(g, g.anchor, g.active));
    else toggle(g, g.active);
  } else if (event.key === "Enter" && !accelerated && !event.shiftKey) {
    showDetails(g);
  } else {
    return false;
  }
  return true;
}

// JupyterLab hears keys on the document before any element of the page does: "d d" deletes cells.
// So plain keys are kept from it here, while Ctrl+S and Shift+Enter stay its own.
function hearKey(g, event) {
  const element = event.composedPath()[0];
  if (!g.root.contains(element)) return;
  let ours = element === g.frame && press(g, event);
  if (event.key === "Escape" && g.detailed !== null && element !== g.search) {
    hideDetails(g);
    ours = true;
  }
  if (ours) event.preventDefault();
  const accelerated = event.ctrlKey || event.metaKey;
  const written = element === g.search && "acvxyz".includes(event.key.toLowerCase());
  const plain = !accelerated && !event.altKey && !(event.key === "Enter" && event.shiftKey);
  if (ours || plain || written) event.stopPropagation();
}

// Search and filters

function fillFilters(g, choices) {
  for (const name of FILTERS) {
    const select = g.filters[name];
    const options = choices[name] ?? [];
    const chosen = select.value;
    select.replaceChildren();
    make("option", "", select, `any ${name}`).value = "";
    for (const [value, pictures] of options) {
      make("option", "", select, `${value} (${pictures.toLocaleString("en")})`).value = value;
    }
    select.value = chosen;
    select.hidden = options.length < 2;
  }
}

function showQuery(g, query) {
  if (g.search.value !== query.search) g.search.value = query.search;
  for (const name of FILTERS) g.filters[name].value = query[name];
}

function buildBar(g) {
  const bar = make("div", "bar", g.root);
  bar.setAttribute("role", "search");
  g.search = make("input", "", bar);
  g.search.type = "search";
  g.search.placeholder = "search captions and tags";
  g.search.setAttribute("aria-label", "search captions and tags");
  g.search.maxLength = 200;
  g.search.addEventListener("input", () => soon(g, "look", 120, look));
  g.filters = {};
  for (const name of FILTERS) {
    const select = make("select", "", bar);
    make("option", "", select, `any ${name}`).value = "";
    select.setAttribute("aria-label", name);
    select.hidden = true;
    select.addEventListener("change", () => look(g));
    g.filters[name] = select;
  }
}

// Details

function showDetails(g) {
  if (!count(g)) return;
  const tile = tileAt(g, g.active);
  if (g.detailed === tile) return;
  g.detailed = tile;
  g.pane.hidden = false;
  g.toggle.setAttribute("aria-pressed", "true");
  send(g, { kind: "details", tile });
}

function hideDetails(g) {
  g.detailed = null;
  g.pane.hidden = true;
  g.toggle.setAttribute("aria-pressed", "false");
  g.frame.focus();
}

function showLarge(g, url) {
  if (g.large) URL.revokeObjectURL(g.large);
  g.large = url;
  const image = g.pane.querySelector("img");
  if (!image) return;
  image.src = url;
  image.hidden = false;
}

function fillDetails(g, told) {
  g.pane.replaceChildren();
  const head = make("div", "head", g.pane);
  make("bdi", "", head, told.label);
  const close = button("✕", head, () => hideDetails(g));
  close.setAttribute("aria-label", "close the details");
  const image = make("img", "", g.pane);
  image.alt = told.caption;
  const small = g.kept.get(told.tile)?.url;
  image.hidden = !small;
  if (small) image.src = small;
  const list = make("div", "said", g.pane);
  for (const said of told.said) addSaid(list, said);
  if (told.more) make("div", "quiet", g.pane, `${told.more} more tasks of this picture`);
}

function addSaid(list, said) {
  const part = make("section", "", list);
  const head = make("div", "title", part);
  make("bdi", "", head, said.title);
  if (said.backend === "sandbox") make("span", "badge", head, "sandbox");
  if (said.trouble) make("p", "trouble", part, said.trouble).dir = "auto";
  if (said.caption) make("p", "", part, said.caption).dir = "auto";
  const chips = said.tags.length ? make("div", "chips", part) : null;
  for (const tag of said.tags) make("bdi", "chip", chips, tag);
  if (said.facts.length) make("div", "quiet", part, said.facts.join(" · "));
  if (said.line) addLine(part, said.line);
}

function addLine(part, line) {
  const row = make("div", "line", part);
  const code = make("code", "", row, line);
  const copy = button("Copy", row, async () => {
    try {
      await navigator.clipboard.writeText(line);
      copy.textContent = "Copied";
    } catch {
      // Pages without TLS have no clipboard: select the text, so that Ctrl+C does it.
      getSelection().selectAllChildren(code);
      copy.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
}

// All of it

function buildFrame(g) {
  const body = make("div", "body", g.root);
  g.frame = make("div", "frame", body);
  g.frame.tabIndex = 0;
  g.frame.setAttribute("role", "listbox");
  g.frame.setAttribute("aria-multiselectable", "true");
  g.frame.setAttribute("aria-label", "pictures");
  g.frame.setAttribute("aria-description", HELP);
  g.space = make("div", "space", g.frame);
  g.none = make("div", "none", g.frame, "No picture fits.");
  g.none.hidden = true;
  g.pane = make("aside", "pane", body);
  g.pane.setAttribute("aria-label", "details");
  g.pane.hidden = true;
}

function buildFoot(g) {
  const foot = make("div", "foot", g.root);
  g.count = make("span", "count", foot);
  g.count.setAttribute("role", "status");
  g.clear = button("Select none", foot, () => choose(g, []));
  g.toggle = button("Details", foot, () => (g.detailed === null ? showDetails(g) : hideDetails(g)));
  g.toggle.setAttribute("aria-pressed", "false");
  g.toggle.title = HELP;
}

function listen(g) {
  g.frame.addEventListener("click", (event) => click(g, event));
  g.frame.addEventListener("dblclick", () => showDetails(g));
  g.frame.addEventListener("scroll", () => {
    if (!g.columns || !g.frame.clientWidth) return;
    g.seen = Math.floor(g.frame.scrollTop / g.row) * g.columns;
    g.offset = g.frame.scrollTop % g.row;
    g.drawing ??= requestAnimationFrame(() => draw(g));
  }, { passive: true });
  const onKey = (event) => hearKey(g, event);
  const onMessage = (told, buffers) => hear(g, told, buffers);
  const watcher = new ResizeObserver(() => lay(g));
  window.addEventListener("keydown", onKey, true);
  g.model.on("msg:custom", onMessage);
  watcher.observe(g.frame);
  return () => {
    watcher.disconnect();
    window.removeEventListener("keydown", onKey, true);
    g.model.off("msg:custom", onMessage);
  };
}

function release(g) {
  for (const timer of [...Object.values(g.timers), g.asking]) clearTimeout(timer);
  cancelAnimationFrame(g.drawing);
  for (const { url } of g.kept.values()) if (url) URL.revokeObjectURL(url);
  if (g.large) URL.revokeObjectURL(g.large);
}

function render({ model, el }) {
  views += 1;
  const g = {
    model, by: `imgopen-${views}-${Math.random().toString(36).slice(2, 10)}`,
    total: model.get("total"), order: null, query: null, heard: false,
    chosen: new Set(), active: 0, anchor: 0, detailed: null, large: null,
    kept: new Map(), shown: new Map(), spare: [], timers: {}, asking: null, drawing: null,
    columns: 0, side: 0, row: 0, seen: 0, offset: 0, askedAt: 0,
  };
  g.root = make("div", "imgopen-gallery", el);
  buildBar(g);
  buildFrame(g);
  buildFoot(g);
  const stop = listen(g);
  tellCount(g);
  send(g, { kind: "open" });
  return () => {
    stop();
    release(g);
  };
}

export default { render };
