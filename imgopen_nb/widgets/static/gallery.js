// A grid of images. The page has only the visible tiles and half a screen around them.
// `g` is the state of one view; a place is a position in the grid, a tile is the kernel's number.
// Texts are not trusted: they are only set as textContent, and every `src` is a blob: URL of a JPEG
// that the kernel has made.

const GAP = 10;
const TEXT = 46; // pixels for the two lines below an image
const KEPT = 1500; // images that this page keeps
const FILTERS = ["model", "operation", "status", "tag"];
const HELP = "Arrow keys move, Space selects, Shift extends, Ctrl+A selects all, Enter shows details";
let views = 0;

const count = (g) => (g.order ? g.order.length : g.total);
const tileAt = (g, place) => (g.order ? g.order[place] : place);
const clamp = (g, place) => Math.max(0, Math.min(count(g) - 1, place));

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
  // While the user scrolls fast, nothing is requested.
  const fast = Math.abs(scrollTop - g.askedAt) > clientHeight;
  g.askedAt = scrollTop;
  if (fast) return soon(g, "ask", 80, ask);
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

// Tile elements are reused in any order; screen readers need them in the order of the grid.
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
  // Images for the static HTML are sent without a request, maybe before the captions.
  return kept && kept.text !== undefined && (kept.url || kept.lost);
}

function askSoon(g) {
  if (!g.asking) {
    g.asking = setTimeout(() => { g.asking = null; ask(g); }, 60);
  }
}

function sendQuery(g) {
  const query = { kind: "query", search: g.search.value };
  for (const name of FILTERS) query[name] = g.filters[name].value;
  send(g, query);
}

const numbers = (buffer) =>
  new Uint32Array(buffer ? buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength) : 0);

const HANDLERS = {
  state(g, message) {
    if (message.by === g.by) fillFilters(g, message.choices);
  },
  order(g, message, buffers) {
    g.order = numbers(buffers[0]);
    if (message.by !== g.by) showQuery(g, message.query);
    const query = JSON.stringify(message.query);
    if (query !== g.query) g.seen = g.offset = g.active = g.anchor = 0;
    g.query = query;
    lay(g);
  },
  selected(g, message, buffers) {
    if (message.by === g.by) return;
    g.chosen = new Set(numbers(buffers[0]));
    mark(g);
  },
  captions(g, message) {
    for (const [tile, text, state] of message.tiles) keep(g, tile, { text, state });
    fillAll(g);
  },
  pictures(g, message, buffers) {
    message.keys.forEach(([tile, size], at) => picture(g, tile, size, buffers[at]));
    for (const [tile, size] of message.lost) if (size < 200) keep(g, tile, { lost: true });
    trim(g);
    fillAll(g);
    askSoon(g);
  },
  details(g, message) {
    if (message.by === g.by && message.tile === g.detailed) fillDetails(g, message);
  },
};

function receive(g, message, buffers) {
  clearTimeout(g.timers.late);
  g.answered = true;
  HANDLERS[message.kind]?.(g, message, buffers);
  tellCount(g);
}

function keep(g, tile, more) {
  const before = g.kept.get(tile);
  g.kept.delete(tile); // the map is in order of use
  g.kept.set(tile, { ...before, ...more });
}

function picture(g, tile, size, buffer) {
  const url = jpegUrl(buffer);
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

function lay(g) {
  const width = g.frame.clientWidth - 2 * GAP;
  if (width <= 0) return; // not in the page: a notebook removes cells that are far away
  // Not the scroll position of the frame: that is lost when it comes back into the page.
  const wasVisible = g.columns && inView(g, g.active, Math.floor(g.seen / g.columns) * g.row + g.offset);
  const least = width < 420 ? 96 : 132;
  g.columns = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
  g.side = Math.floor((width - GAP * (g.columns - 1)) / g.columns);
  g.row = g.side + TEXT + GAP;
  g.space.style.height = `${Math.ceil(count(g) / g.columns) * g.row + GAP}px`;
  g.frame.scrollTop = Math.floor(g.seen / g.columns) * g.row + g.offset;
  g.none.hidden = count(g) > 0;
  g.active = clamp(g, g.active);
  for (const place of g.shown.keys()) drop(g, place);
  if (wasVisible) reveal(g, g.active);
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
    if (!g.shown.has(place)) g.shown.set(place, addTile(g, place));
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
  const box = make("div", "box", make("img", { decoding: "async" }), make("span", "lost"));
  const check = make("span", { class: "check", "aria-hidden": "true" });
  return make("div", { class: "tile", role: "option" }, box, check, words("span", "text"));
}

function addTile(g, place) {
  const element = g.spare.shift() ?? newTile();
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
  lost.textContent = kept?.lost ? "not available" : "";
  if (kept?.state) lost.textContent = kept.lost ? `${kept.state}, not available` : kept.state;
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
  const pictures = g.total === 1 ? "image" : "images";
  const parts = [all === here ? `${all} ${pictures}` : `${here} of ${all} ${pictures}`];
  if (g.title) parts.push(g.title);
  if (g.chosen.size) parts.push(`${chosen} selected`);
  if (!g.answered) parts.push("waiting for the kernel");
  const text = parts.join(" · ");
  if (g.count.textContent !== text) g.count.textContent = text;
  g.clear.hidden = !g.chosen.size;
}

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

// Handles a key and returns whether the gallery uses it.
function press(g, event) {
  const command = accelerated(event);
  if (event.altKey || !count(g)) return false;
  if (command && event.key.toLowerCase() === "a") {
    choose(g, range(g, 0, count(g) - 1));
    return true;
  }
  const to = target(g, event.key);
  if (to !== undefined && !command) {
    move(g, to, event.shiftKey);
  } else if (event.key === " " && !command) {
    if (event.shiftKey) choose(g, range(g, g.anchor, g.active));
    else toggle(g, g.active);
  } else if (event.key === "Enter" && !command && !event.shiftKey) {
    showDetails(g);
  } else {
    return false;
  }
  return true;
}

// Runs before the notebook handles the key: the notebook does not get plain keys and those that the
// gallery uses, but it gets Ctrl+S and Shift+Enter.
function onKey(g, event) {
  const element = event.composedPath()[0];
  if (!g.root.contains(element)) return;
  let used = element === g.frame && press(g, event);
  if (event.key === "Escape" && g.detailed !== null && element !== g.search) {
    hideDetails(g);
    used = true;
  }
  if (used) event.preventDefault();
  const editing = element === g.search && "acvxyz".includes(event.key.toLowerCase());
  const plain = !accelerated(event) && !event.altKey && !(event.key === "Enter" && event.shiftKey);
  if (used || plain || editing) event.stopPropagation();
}

function fillFilters(g, choices) {
  for (const name of FILTERS) {
    const select = g.filters[name];
    const options = choices[name] ?? [];
    const chosen = select.value;
    select.replaceChildren(make("option", { value: "" }, `any ${name}`));
    for (const [value, pictures] of options) {
      add(select, "option", { value }, `${value} (${pictures.toLocaleString("en")})`);
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
  const label = "search captions and tags";
  g.search = make("input", {
    type: "search", placeholder: label, "aria-label": label, maxlength: "200",
  });
  g.search.addEventListener("input", () => soon(g, "query", 120, sendQuery));
  g.filters = {};
  for (const name of FILTERS) {
    const select = make("select", { "aria-label": name }, make("option", { value: "" }, `any ${name}`));
    select.hidden = true;
    select.addEventListener("change", () => sendQuery(g));
    g.filters[name] = select;
  }
  add(g.root, "div", { class: "bar", role: "search" }, g.search, ...Object.values(g.filters));
}

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

function fillDetails(g, message) {
  g.pane.replaceChildren();
  const head = add(g.pane, "div", "head");
  add(head, "bdi", "", message.label);
  head.append(button({ "aria-label": "close the details" }, () => hideDetails(g), "✕"));
  const image = add(g.pane, "img");
  image.alt = message.caption;
  const small = g.kept.get(message.tile)?.url;
  image.hidden = !small;
  if (small) image.src = small;
  if (message.doubt) add(g.pane, "div", "quiet", message.doubt);
  const list = add(g.pane, "div", "said");
  for (const said of message.said) addSaid(list, said);
  if (message.more) add(g.pane, "div", "quiet", `${message.more} more tasks of this image`);
}

function addSaid(list, said) {
  const part = add(list, "section");
  const head = add(part, "div", "title");
  add(head, "bdi", "", said.title);
  if (said.backend === "sandbox") add(head, "span", "badge", "sandbox");
  if (said.trouble) part.append(words("p", "trouble", said.trouble));
  if (said.caption) part.append(words("p", "", said.caption));
  if (said.tags.length) add(part, "div", "chips", ...said.tags.map((tag) => make("bdi", "chip", tag)));
  if (said.facts.length) add(part, "div", "quiet", said.facts.join(" · "));
  if (said.line) addLine(part, said.line);
}

function addLine(part, line) {
  const code = make("code", "", line);
  const press = (pressed) => copy(pressed, line, () => selectText(code));
  add(part, "div", "line", code, button({}, press, "Copy"));
}

function buildFrame(g) {
  const body = add(g.root, "div", "body");
  g.frame = add(body, "div", {
    class: "frame", tabindex: "0", role: "listbox", "aria-multiselectable": "true",
    "aria-label": "images", "aria-description": HELP,
  });
  g.space = add(g.frame, "div", "space");
  g.none = add(g.frame, "div", "none", "No image matches.");
  g.pane = add(body, "aside", { class: "pane", "aria-label": "details" });
  g.none.hidden = g.pane.hidden = true;
}

function buildFoot(g) {
  g.count = make("span", { class: "count", role: "status" });
  g.clear = button({}, () => choose(g, []), "Select none");
  const press = () => (g.detailed === null ? showDetails(g) : hideDetails(g));
  g.toggle = button({ "aria-pressed": "false", title: HELP }, press, "Details");
  add(g.root, "div", "foot", g.count, g.clear, g.toggle);
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
  const watcher = new ResizeObserver(() => lay(g));
  watcher.observe(g.frame);
  const stopKeys = watchKeys((event) => onKey(g, event));
  const stopModel = listenTo(g.model, { "msg:custom": (...given) => receive(g, ...given) });
  return () => {
    watcher.disconnect();
    stopKeys();
    stopModel();
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
    total: model.get("total"), title: model.get("title"), order: null, query: null, answered: false,
    chosen: new Set(), active: 0, anchor: 0, detailed: null, large: null,
    kept: new Map(), shown: new Map(), spare: [], timers: {}, asking: null, drawing: null,
    columns: 0, side: 0, row: 0, seen: 0, offset: 0, askedAt: 0,
  };
  g.root = add(el, "div", "imgopen-gallery imgopen");
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
