// A mask painted over an image, at the full resolution of the image.
//
// The rule by which the same mask can be computed elsewhere: pointer positions are rounded to
// eighths of a pixel of the image. A stroke paints a pixel if and only if the distance of its
// centre to the line through the pointer positions is at most half the brush size (with size 1,
// positions are moved to the centre of their pixel first). A rectangle paints the pixels whose
// centres are in it or on its border.

const MOST_UNDO = 32_000_000; // bytes of the undo history
const MOST_HEIGHT = 560; // of the image on the page, in CSS pixels
const MOST_ZOOM = 32;
const TINT = [255, 45, 110, 140]; // red, green, blue, alpha
const PAUSE = 200; // milliseconds between two masks that are sent
const TOOLS = { b: "brush", e: "eraser", r: "rectangle", m: "move" };
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP = [
  [["B", "E", "R", "M"], "brush, eraser, rectangle, move"],
  [["[", "]"], "smaller, larger"],
  [["←", "→", "↑", "↓"], "move the cursor; with Shift one pixel"],
  [["Enter", "Space"], "paint a dot; put the brush down, lift it; both set the corners of a rectangle"],
  [["Shift"], "held while painting: erase"],
  [["Ctrl+Z", "Ctrl+Shift+Z"], "undo, redo"],
  [["I", "Delete", "Esc"], "invert, clear, cancel the stroke"],
  [["+", "−", "1", "0"], "zoom in, zoom out, actual size, whole image; Ctrl+wheel or two fingers too"],
];
const ICONS = {
  brush: '<path d="M13.5 2.5 7 9"/><path d="M7 9c-1.700-.6-3.300.3-3.600 2-.2 1-.7 1.700-1.400 2.200 2.400.8 5.300.2 5.900-2.200.2-.8-.2-1.600-.9-2Z"/>',
  eraser: '<path d="M6.500 13.500 2.700 9.700a1 1 0 0 1 0-1.400l5.600-5.600a1 1 0 0 1 1.400 0l3.600 3.600a1 1 0 0 1 0 1.400l-5.800 5.800H13.500"/><path d="M5.500 5.500l5 5"/>',
  rectangle: '<rect x="2.500" y="3.500" width="11" height="9" stroke-dasharray="2.500 1.800"/>',
  move: '<path d="M8 1.800v12.400M1.800 8h12.400M6.200 3.500 8 1.700l1.800 1.800M6.200 12.500 8 14.300l1.800-1.800M3.500 6.200 1.700 8l1.800 1.800M12.500 6.200 14.300 8l-1.800 1.800"/>',
  undo: '<path d="M3 6.500h6.500a3.500 3.500 0 0 1 0 7H6"/><path d="M5.500 3.500 2.500 6.500l3 3"/>',
  redo: '<path d="M13 6.500H6.500a3.500 3.500 0 0 0 0 7H10"/><path d="M10.500 3.500l3 3-3 3"/>',
  clear: '<path d="M3 4.500h10M6.500 4V2.500h3V4M4.500 4.500l.6 9h5.800l.6-9M6.800 7v4M9.200 7v4"/>',
  invert: '<circle cx="8" cy="8" r="5.500"/><path d="M8 2.500a5.500 5.500 0 0 1 0 11Z" fill="currentColor"/>',
  less: '<path d="M3.500 8h9"/>',
  more: '<path d="M3.500 8h9M8 3.500v9"/>',
  all: '<path d="M2.500 6V2.500H6M10 2.500h3.500V6M13.500 10v3.500H10M6 13.500H2.500V10"/>',
};
let painters = 0; // on the page

// A mask with one bit per pixel, rows padded to whole bytes, the first pixel in the highest bit.
class Bits {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.stride = (width + 7) >> 3;
    this.data = new Uint8Array(this.stride * height);
  }

  has(x, y) {
    return (this.data[y * this.stride + (x >> 3)] >> (7 - (x & 7))) & 1;
  }

  // Sets the pixels of a row from `from` to `to`, both included, as far as they exist.
  span(y, from, to, on) {
    from = Math.max(0, from);
    to = Math.min(this.width - 1, to);
    if (from > to || y < 0 || y >= this.height) return;
    const first = y * this.stride + (from >> 3);
    const last = y * this.stride + (to >> 3);
    const head = 0xff >> (from & 7);
    const tail = (0xff << (7 - (to & 7))) & 0xff;
    if (first === last) return this.put(first, head & tail, on);
    this.put(first, head, on);
    this.data.fill(on ? 0xff : 0, first + 1, last);
    this.put(last, tail, on);
  }

  put(at, bits, on) {
    if (on) this.data[at] |= bits;
    else this.data[at] &= ~bits;
  }

  invert() {
    const tail = (0xff << (this.stride * 8 - this.width)) & 0xff; // the padding stays 0
    for (let i = 0; i < this.data.length; i++) this.data[i] ^= 0xff;
    for (let i = this.stride - 1; i < this.data.length; i += this.stride) this.data[i] &= tail;
  }

  painted() {
    let total = 0;
    for (const byte of this.data) total += ONES[byte];
    return total;
  }
}
const ONES = Uint8Array.from({ length: 256 }, (_, i) => i.toString(2).replaceAll("0", "").length);

// Whether (x, y) is at most r away from the line from a to b; exact for eighths of a pixel.
function near(x, y, a, b, r) {
  const [dx, dy, px, py] = [b.x - a.x, b.y - a.y, x - a.x, y - a.y];
  const along = px * dx + py * dy;
  const long = dx * dx + dy * dy;
  if (along <= 0) return px * px + py * py <= r * r;
  if (along >= long) return (x - b.x) ** 2 + (y - b.y) ** 2 <= r * r;
  return (px * dy - py * dx) ** 2 <= r * r * long;
}

// Where the row at y enters and leaves the area near the line (two discs and a box), rounded.
function crossing(y, a, b, r) {
  const found = [];
  for (const end of [a, b]) {
    const half = r * r - (y - end.y) ** 2;
    if (half >= 0) found.push(end.x - Math.sqrt(half), end.x + Math.sqrt(half));
  }
  const long = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const [nx, ny] = [(-(b.y - a.y) / long) * r, ((b.x - a.x) / long) * r];
  const corners = [[a.x + nx, a.y + ny], [b.x + nx, b.y + ny], [b.x - nx, b.y - ny], [a.x - nx, a.y - ny]];
  corners.forEach(([px, py], i) => {
    const [qx, qy] = corners[(i + 1) % 4];
    if (py !== qy && (py - y) * (qy - y) <= 0) found.push(px + ((y - py) * (qx - px)) / (qy - py));
  });
  return found.length ? [Math.min(...found), Math.max(...found)] : null;
}

// Paints the pixels near a line and returns the box that may have changed.
function paintLine(bits, a, b, r, on) {
  const box = boxAround(bits, [a, b], r + 1);
  for (let row = box.top; row < box.bottom; row++) {
    const y = row + 0.5;
    const ends = crossing(y, a, b, r);
    if (!ends) continue;
    // The crossings are rounded: the exact rule decides about the pixels at the ends.
    let [from, to] = [Math.ceil(ends[0] - 0.5) - 1, Math.floor(ends[1] - 0.5) + 1];
    while (from <= to && !near(from + 0.5, y, a, b, r)) from++;
    while (to >= from && !near(to + 0.5, y, a, b, r)) to--;
    bits.span(row, from, to, on);
  }
  return box;
}

function paintBox(bits, a, b, on) {
  const [left, right] = [Math.min(a.x, b.x), Math.max(a.x, b.x)];
  const [top, bottom] = [Math.min(a.y, b.y), Math.max(a.y, b.y)];
  for (let row = Math.ceil(top - 0.5); row <= bottom - 0.5; row++)
    bits.span(row, Math.ceil(left - 0.5), Math.floor(right - 0.5), on);
  return boxAround(bits, [a, b], 1);
}

function boxAround(bits, points, margin) {
  const [xs, ys] = [points.map((p) => p.x), points.map((p) => p.y)];
  const inside = (value, most) => Math.min(most, Math.max(0, value));
  return {
    left: inside(Math.floor(Math.min(...xs) - margin), bits.width),
    top: inside(Math.floor(Math.min(...ys) - margin), bits.height),
    right: inside(Math.ceil(Math.max(...xs) + margin), bits.width),
    bottom: inside(Math.ceil(Math.max(...ys) + margin), bits.height),
  };
}

// The centre of the pixel that a point lies in.
function middle({ x, y }) {
  return { x: Math.floor(x) + 0.5, y: Math.floor(y) + 0.5 };
}

function joined(one, other) {
  if (!one || !other) return one || other;
  return {
    left: Math.min(one.left, other.left),
    top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right),
    bottom: Math.max(one.bottom, other.bottom),
  };
}

// A mask with its undo history. A step is a box and the XOR of its bits before and after, which
// serves both undo and redo. `kept` is the mask after the last completed step.
class Mask {
  constructor(width, height) {
    this.bits = new Bits(width, height);
    this.kept = this.bits.data.slice();
    this.past = [];
    this.future = [];
  }

  get all() {
    return { left: 0, top: 0, right: this.bits.width, bottom: this.bits.height };
  }

  // Records the changes in the box as one step; returns whether there are any.
  commit(box) {
    if (!box) return false;
    const from = box.left >> 3;
    const wide = Math.max(0, ((box.right + 7) >> 3) - from);
    const step = { box, from, wide, xor: new Uint8Array(wide * (box.bottom - box.top)) };
    let changed = 0;
    this.each(step, (at, i) => {
      changed |= step.xor[i] = this.bits.data[at] ^ this.kept[at];
      this.kept[at] = this.bits.data[at];
    });
    if (changed) this.remember(step);
    return Boolean(changed);
  }

  remember(step) {
    this.future = [];
    this.past.push(step);
    const weight = (each) => each.xor.length + 200;
    let bytes = this.past.reduce((sum, each) => sum + weight(each), 0);
    while (bytes > MOST_UNDO && this.past.length > 1) bytes -= weight(this.past.shift());
  }

  // Undoes or redoes a step, which moves from one list to the other; returns its box or null.
  turn(from, to) {
    const step = from.pop();
    if (!step) return null;
    this.each(step, (at, i) => { this.bits.data[at] = this.kept[at] ^= step.xor[i]; });
    to.push(step);
    return step.box;
  }

  revert() {
    this.bits.data.set(this.kept);
  }

  each(step, call) {
    let i = 0;
    for (let row = step.box.top; row < step.box.bottom; row++) {
      const start = row * this.bits.stride + step.from;
      for (let at = start; at < start + step.wide; at++) call(at, i++);
    }
  }
}

// The visible part of the image: `scale` in CSS pixels per pixel, `left` and `top` in pixels.
class View {
  constructor(width, height) {
    Object.assign(this, { width, height, scale: 1, left: 0, top: 0, wide: 1, high: 1, fit: 0 });
  }

  // Fits the image into a width of `room` CSS pixels; small ones grow by integer factors.
  resize(room) {
    const most = Math.min(MOST_HEIGHT, Math.max(240, innerHeight * 0.7));
    const fit = Math.min(room / this.width, most / this.height);
    const whole = this.scale === this.fit || !this.fit;
    this.fit = fit < 1 ? fit : Math.min(8, Math.floor(fit));
    this.wide = Math.max(Math.min(160, room), Math.round(this.width * this.fit));
    this.high = Math.max(80, Math.round(this.height * this.fit));
    this.zoom(whole ? this.fit : this.scale, this.wide / 2, this.high / 2);
  }

  // Sets the scale so that the point that was at `from` on the canvas is now at (x, y).
  zoom(scale, x, y, from = { x, y }) {
    const [px, py] = [from.x / this.scale + this.left, from.y / this.scale + this.top];
    this.scale = Math.min(MOST_ZOOM, Math.max(Math.min(this.fit, 1), scale));
    this.move(px - x / this.scale, py - y / this.scale);
  }

  move(left, top) {
    const within = (value, seen, all) =>
      seen >= all ? (all - seen) / 2 : Math.min(all - seen, Math.max(0, value));
    this.left = within(left, this.wide / this.scale, this.width);
    this.top = within(top, this.high / this.scale, this.height);
  }

  point(x, y) {
    const eighth = (value) => Math.round(value * 8) / 8;
    return { x: eighth(x / this.scale + this.left), y: eighth(y / this.scale + this.top) };
  }
}

// The pixels of the image sampled by a row or column of screen pixels, `several` for each.
function samples(start, length, perPixel, offset, limit, several) {
  const found = new Int32Array(length * several);
  for (let i = 0; i < found.length; i++) {
    const at = Math.floor((start + (i + 0.5) / several) / perPixel + offset);
    found[i] = at < limit ? at : -1; // negative: outside of the image
  }
  return found;
}

// Draws the mask on a part of the screen; a pixel is tinted if any pixel it samples is painted.
function tint(context, bits, view, ratio, part) {
  const [wide, high] = [part.right - part.left, part.bottom - part.top];
  if (wide <= 0 || high <= 0) return;
  const k = view.scale * ratio;
  const several = Math.min(8, Math.max(1, Math.ceil(1 / k)));
  const columns = samples(part.left, wide, k, view.left, bits.width, several);
  const rows = samples(part.top, high, k, view.top, bits.height, several);
  const image = context.createImageData(wide, high);
  const pixels = new Uint32Array(image.data.buffer);
  const colour = new Uint32Array(Uint8Array.from(TINT).buffer)[0];
  const any = (x, y) => {
    for (let j = y; j < y + several; j++) {
      if (rows[j] < 0) continue;
      for (let i = x; i < x + several; i++)
        if (columns[i] >= 0 && bits.has(columns[i], rows[j])) return true;
    }
    return false;
  };
  for (let y = 0, at = 0; y < high; y++)
    for (let x = 0; x < wide; x++, at++) if (any(x * several, y * several)) pixels[at] = colour;
  context.putImageData(image, part.left, part.top);
}

// Bytes are exchanged with Python in zlib's format.
async function piped(bytes, through) {
  const stream = new Blob([bytes]).stream().pipeThrough(through);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function bytesOf(value) {
  if (!value) return new Uint8Array();
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

function same(one, other) {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}

class Painter {
  constructor(model, el) {
    this.model = model;
    const [width, height] = [model.get("width"), model.get("height")];
    this.mask = new Mask(width, height);
    this.view = new View(width, height);
    this.tool = "brush";
    this.size = Math.max(1, Math.round(Math.max(width, height) / 25));
    this.cursor = middle({ x: width / 2, y: height / 2 });
    this.touches = new Map();
    this.sent = new Uint8Array();
    this.stroke = this.corner = this.drag = this.pinch = null;
    this.build(el);
    this.listen();
    this.load();
  }

  build(el) {
    this.root = add(el, "div", { class: "imgopen-paint imgopen", ...NO_SHORTCUTS });
    this.bar = add(this.root, "div", "bar io-toolbar");
    this.buildTools();
    this.buildSteps();
    this.stage = add(this.root, "div", "stage");
    this.below = add(this.stage, "canvas", { "aria-hidden": "true" });
    const help = `imgopen-paint-help-${++painters}`;
    this.canvas = add(this.stage, "canvas", {
      class: "over", tabindex: "0", role: "application", "aria-roledescription": "mask painter",
      "aria-describedby": help, ...NO_SHORTCUTS,
    });
    this.ring = add(this.stage, "div", { class: "ring", hidden: "" });
    this.band = add(this.stage, "div", { class: "band", hidden: "" });
    const line = add(this.root, "div", "line");
    this.state = add(line, "span");
    this.announcement = add(line, "span", { class: "said", role: "status", "aria-live": "polite" });
    this.trouble = add(this.root, "div", { class: "trouble", role: "alert" });
    const list = add(this.root, "div", { class: "help", id: help, hidden: "" });
    for (const [keys, what] of HELP) {
      add(list, "span", "", ...keys.flatMap((key) => [make("kbd", "", key), " "]));
      add(list, "span", "", what);
    }
    line.append(button({ class: "io-link", "aria-label": "Keys", "aria-expanded": "false", "aria-controls": help, ...NO_SHORTCUTS },
      (pressed) => {
        list.hidden = !list.hidden;
        pressed.setAttribute("aria-expanded", String(!list.hidden));
      }, "Keys"));
  }

  buildTools() {
    const group = this.group("tool");
    this.toolButtons = Object.entries(TOOLS).map(([key, tool]) =>
      this.button(group, ICONS[tool], `${tool} (${key.toUpperCase()})`, () => this.choose(tool)));
    const label = add(this.group("size"), "label", "", "Size");
    this.slider = add(label, "input", {
      type: "range", min: "1", title: "size ([ and ])", ...NO_SHORTCUTS,
    });
    this.slider.max = Math.max(20, Math.round(Math.max(this.view.width, this.view.height) / 4));
    this.number = add(label, "output");
    this.slider.addEventListener("input", () => this.resizeBrush(Number(this.slider.value)));
  }

  buildSteps() {
    const steps = this.group("steps");
    this.undo = this.button(steps, ICONS.undo, "undo (Ctrl+Z)", () => this.back());
    this.redo = this.button(steps, ICONS.redo, "redo (Ctrl+Shift+Z)", () => this.forth());
    this.button(steps, ICONS.invert, "invert (I)", () => this.invert());
    this.button(steps, ICONS.clear, "clear (Delete)", () => this.clear());
    const zoom = this.group("zoom");
    this.button(zoom, ICONS.less, "zoom out (−)", () => this.zoom(this.view.scale / 1.5));
    this.button(zoom, ICONS.more, "zoom in (+)", () => this.zoom(this.view.scale * 1.5));
    this.button(zoom, "1:1", "Actual size (1)", () => this.zoom(1));
    this.button(zoom, ICONS.all, "the whole image (0)", () => this.zoom(this.view.fit));
  }

  group(name) {
    return add(this.bar, "div", { role: "group", "aria-label": name });
  }

  // A button with an icon, or with a text of a few letters.
  button(group, face, title, press) {
    const icon = face.startsWith("<");
    const kind = `io-btn quiet ${icon ? "icon" : "text"}`;
    const made = button({ class: kind, title, "aria-label": title, ...NO_SHORTCUTS }, () => {
      if (made.getAttribute("aria-disabled") !== "true") press();
    });
    made.innerHTML = icon ? `<svg class="io-i" viewBox="0 0 16 16" aria-hidden="true">${face}</svg>` : face;
    group.append(made);
    return made;
  }

  listen() {
    const on = (name, call) => this.canvas.addEventListener(name, call.bind(this));
    on("pointerdown", this.down);
    on("pointermove", this.moved);
    on("pointerup", this.up);
    on("pointercancel", this.cancelled);
    on("pointerleave", () => this.showRing());
    on("focus", () => this.showRing(this.cursor));
    on("blur", () => { this.lift(); this.showRing(); });
    on("contextmenu", (event) => event.preventDefault());
    this.canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.root.addEventListener("keydown", (event) => {
      const handled = event.target === this.canvas
        ? this.key(event)
        : accelerated(event) && !event.altKey && this.undoKey(event);
      if (handled) event.preventDefault();
      else passOn(event, this.root);
    });
    this.watcher = new ResizeObserver(() => this.fit());
    this.watcher.observe(this.root);
    this.stopListening = listenTo(this.model, {
      "change:value": () => this.receive(),
      "change:preview": () => this.loadPicture(),
      "change:problem": () => this.showError(this.model.get("problem")),
      "change:taken": () => this.report(),
      "change:label": () => this.name(),
    });
  }

  close() {
    this.watcher.disconnect();
    this.stopListening();
    this.picture?.close();
  }

  load() {
    this.name();
    this.choose("brush", false);
    this.resizeBrush(this.size, false);
    this.showError(this.model.get("problem"));
    this.loadPicture();
    this.receive();
  }

  name() {
    this.canvas.setAttribute("aria-label", `mask of ${this.model.get("label")}`);
  }

  async loadPicture() {
    try {
      const jpeg = new Blob([bytesOf(this.model.get("preview"))], { type: "image/jpeg" });
      this.picture = await createImageBitmap(jpeg);
      this.draw();
    } catch (error) {
      this.showError(`the image cannot be shown: ${error.message}`);
    }
  }

  fit() {
    const room = this.bar.clientWidth;
    if (!room) return; // in a tab that is not visible
    this.view.resize(room);
    this.ratio = Math.min(3, devicePixelRatio || 1);
    for (const canvas of [this.below, this.canvas]) {
      canvas.width = Math.round(this.view.wide * this.ratio);
      canvas.height = Math.round(this.view.high * this.ratio);
      canvas.style.width = `${this.view.wide}px`;
      canvas.style.height = `${this.view.high}px`;
    }
    this.draw();
  }

  draw() {
    if (!this.ratio) return;
    const { view } = this;
    const [context, k] = [this.below.getContext("2d"), view.scale * this.ratio];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.below.width, this.below.height);
    context.setTransform(k, 0, 0, k, -view.left * k, -view.top * k);
    context.imageSmoothingEnabled = k < 4;
    if (this.picture) context.drawImage(this.picture, 0, 0, view.width, view.height);
    this.drawMask(this.mask.all);
    const { scale, left, top } = view;
    Object.assign(this.canvas.dataset, { scale, left, top });
    this.report();
  }

  // Redraws the visible part of a box, which is in pixels of the image.
  drawMask(box) {
    if (!this.ratio || !box) return;
    const { view, canvas } = this;
    const k = view.scale * this.ratio;
    const all = box.right - box.left === view.width && box.bottom - box.top === view.height;
    tint(canvas.getContext("2d"), this.mask.bits, view, this.ratio, {
      left: all ? 0 : Math.max(0, Math.floor((box.left - view.left) * k) - 1),
      top: all ? 0 : Math.max(0, Math.floor((box.top - view.top) * k) - 1),
      right: all ? canvas.width : Math.min(canvas.width, Math.ceil((box.right - view.left) * k) + 1),
      bottom: all ? canvas.height : Math.min(canvas.height, Math.ceil((box.bottom - view.top) * k) + 1),
    });
  }

  place(element, a, b) {
    const { scale, left, top } = this.view;
    const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
    element.style.left = `${(x - left) * scale}px`;
    element.style.top = `${(y - top) * scale}px`;
    element.style.width = `${Math.abs(a.x - b.x) * scale}px`;
    element.style.height = `${Math.abs(a.y - b.y) * scale}px`;
    element.hidden = false;
  }

  // Shows the outline of the tool at a point, or hides it.
  showRing(point) {
    this.ring.hidden = !point || this.tool === "move";
    if (this.ring.hidden) return;
    const half = Math.max(this.tool === "rectangle" ? 0 : this.size / 2, 4 / this.view.scale);
    this.place(this.ring, { x: point.x - half, y: point.y - half }, { x: point.x + half, y: point.y + half });
  }

  report() {
    const { width, height } = this.view;
    const share = (100 * (this.painted ?? 0)) / (width * height);
    const shown = share && share < 0.1 ? "under 0.1" : share.toFixed(1);
    const waiting = this.model.get("taken") !== this.model.get("number");
    clearTimeout(this.late);
    const parts = [`${shown} % painted`, `${width} × ${height} pixels`];
    this.state.textContent = `${parts.join(" · ")} · zoom ${Math.round(this.view.scale * 100)} %`;
    const late = () => { this.state.textContent += " · not yet in Python: is the kernel busy?"; };
    if (waiting) this.late = setTimeout(late, 1500);
    this.undo.setAttribute("aria-disabled", String(!this.mask.past.length));
    this.redo.setAttribute("aria-disabled", String(!this.mask.future.length));
  }

  say(text) {
    this.announcement.textContent = text;
  }

  showError(text) {
    this.trouble.textContent = text;
  }

  choose(tool, aloud = true) {
    this.lift();
    this.giveUp();
    this.tool = tool;
    Object.values(TOOLS).forEach((each, i) =>
      this.toolButtons[i].setAttribute("aria-pressed", String(each === tool)));
    this.stage.dataset.tool = tool;
    if (aloud) this.say(tool);
  }

  resizeBrush(size, aloud = true) {
    this.size = Math.min(Number(this.slider.max), Math.max(1, Math.round(size)));
    this.slider.value = this.size;
    const share = (this.size - 1) / (this.slider.max - 1);
    this.slider.style.setProperty("--at", `${Math.round(100 * share)}%`); // the filled part
    this.number.textContent = ` ${this.size} px`;
    if (document.activeElement === this.canvas) this.showRing(this.cursor);
    if (aloud) this.say(`size ${this.size}`);
  }

  zoom(scale, x = this.view.wide / 2, y = this.view.high / 2) {
    this.view.zoom(scale, x, y);
    this.draw();
    this.showRing(document.activeElement === this.canvas ? this.cursor : null);
  }

  begin(point, on) {
    this.stroke = { on, last: null, box: null };
    this.extend(point);
  }

  extend(point) {
    const { stroke, size } = this;
    if (size === 1) point = middle(point);
    const box = paintLine(this.mask.bits, stroke.last ?? point, point, size / 2, stroke.on);
    stroke.last = point;
    stroke.box = joined(stroke.box, box);
    this.drawMask(box);
  }

  // Ends the current stroke, if any.
  lift() {
    const { stroke } = this;
    this.stroke = null;
    if (stroke) this.finish(stroke.box);
  }

  rectangle(point, on) {
    const box = paintBox(this.mask.bits, this.corner, point, on);
    this.corner = null;
    this.band.hidden = true;
    this.drawMask(box);
    this.finish(box);
  }

  // Discards what is being drawn; returns whether there was anything.
  giveUp() {
    const had = this.stroke || this.corner || this.drag;
    if (this.stroke) this.mask.revert();
    this.drawMask(this.stroke?.box);
    this.stroke = this.corner = this.drag = null;
    this.band.hidden = true;
    return Boolean(had);
  }

  clear() {
    this.giveUp();
    this.mask.bits.data.fill(0);
    this.afterAll("cleared");
  }

  invert() {
    this.giveUp();
    this.mask.bits.invert();
    this.afterAll("inverted");
  }

  afterAll(text) {
    this.drawMask(this.mask.all);
    this.finish(this.mask.all);
    this.say(text);
  }

  back() {
    this.giveUp();
    this.afterTurn(this.mask.turn(this.mask.past, this.mask.future), "undone", "nothing to undo");
  }

  forth() {
    this.giveUp();
    this.afterTurn(this.mask.turn(this.mask.future, this.mask.past), "redone", "nothing to redo");
  }

  afterTurn(box, done, nothing) {
    this.say(box ? done : nothing);
    if (!box) return;
    this.drawMask(box);
    this.changed();
  }

  finish(box) {
    if (this.mask.commit(box)) this.changed();
  }

  changed() {
    this.painted = this.mask.bits.painted();
    this.report();
    this.send();
  }

  // Sends the mask; changes during a transfer are sent together after it.
  async send() {
    this.again = true;
    if (this.sending) return;
    this.sending = true;
    while (this.again) {
      this.again = false;
      try {
        await this.sendOne();
      } catch (error) {
        this.showError(`the mask cannot be sent: ${error.message}`);
      }
      await new Promise((done) => setTimeout(done, PAUSE));
    }
    this.sending = false;
  }

  async sendOne() {
    this.sent = await piped(this.mask.kept, new CompressionStream("deflate"));
    this.model.set("value", new DataView(this.sent.buffer));
    this.model.set("number", this.model.get("number") + 1);
    this.model.save_changes();
    this.showError("");
    this.report();
  }

  // Shows the mask that Python, or another view of this painter, has set.
  async receive() {
    const value = bytesOf(this.model.get("value"));
    if (same(value, this.sent)) return;
    this.sent = value;
    try {
      const size = this.mask.kept.length;
      const data = value.length
        ? await piped(value, new DecompressionStream("deflate"))
        : new Uint8Array(size);
      if (value !== this.sent) return; // replaced by a newer one
      if (data.length !== size) throw new Error(`${data.length} bytes instead of ${size}`);
      this.replace(data);
    } catch (error) {
      if (value !== this.sent) return;
      this.showError(`the mask from Python cannot be shown: ${error.message}`);
    }
  }

  replace(data) {
    this.giveUp();
    this.mask.bits.data.set(data);
    this.mask.commit(this.mask.all);
    this.painted = this.mask.bits.painted();
    this.drawMask(this.mask.all);
    this.report();
  }

  onCanvas(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  point(event) {
    const { x, y } = this.onCanvas(event);
    return this.view.point(x, y);
  }

  down(event) {
    if (![0, 1, 5].includes(event.button)) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    try {
      this.canvas.setPointerCapture(event.pointerId);
    } catch {} // pointers that a script makes cannot be captured
    if (event.pointerType === "touch") this.touches.set(event.pointerId, this.onCanvas(event));
    if (this.touches.size > 1) return this.startPinch();
    if (this.tool === "move" || event.button === 1) return this.startDrag(event);
    this.lift();
    const on = this.tool !== "eraser" && !event.shiftKey && event.button !== 5;
    if (this.tool !== "rectangle") return this.begin(this.point(event), on);
    this.corner = Object.assign(this.point(event), { on });
  }

  moved(event) {
    const point = this.point(event);
    if (this.touches.has(event.pointerId)) this.touches.set(event.pointerId, this.onCanvas(event));
    if (this.pinch) return this.pinched();
    if (this.drag) return this.dragged(event);
    if (event.pointerType !== "touch") this.showRing(point);
    if (this.corner && event.buttons) this.place(this.band, this.corner, point);
    if (!this.stroke || !event.buttons) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const each of all.length ? all : [event]) this.extend(this.point(each));
  }

  up(event) {
    this.touches.delete(event.pointerId);
    if (this.pinch && this.touches.size < 2) this.pinch = null;
    this.drag = null;
    const point = this.point(event);
    this.cursor = middle(point);
    if (this.corner) this.rectangle(point, this.corner.on);
    this.lift();
  }

  cancelled(event) {
    this.touches.delete(event.pointerId);
    this.pinch = null;
    this.giveUp();
  }

  startDrag(event) {
    const { x, y } = this.onCanvas(event);
    this.drag = { x, y, left: this.view.left, top: this.view.top };
  }

  dragged(event) {
    const { x, y } = this.onCanvas(event);
    const { scale } = this.view;
    this.view.move(this.drag.left - (x - this.drag.x) / scale, this.drag.top - (y - this.drag.y) / scale);
    this.draw();
  }

  fingers() {
    const [a, b] = [...this.touches.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) || 1 };
  }

  startPinch() {
    this.giveUp();
    this.pinch = this.fingers();
  }

  pinched() {
    const [before, now] = [this.pinch, this.fingers()];
    this.view.zoom((this.view.scale * now.apart) / before.apart, now.x, now.y, before);
    this.pinch = now;
    this.draw();
  }

  // Without Ctrl the wheel scrolls the page.
  wheel(event) {
    if (!accelerated(event)) return;
    event.preventDefault();
    const { x, y } = this.onCanvas(event);
    this.zoom(this.view.scale * 1.25 ** -Math.sign(event.deltaY), x, y);
  }

  // Handlers of keys return whether they used the key.

  key(event) {
    if (event.altKey) return false;
    if (accelerated(event)) return this.undoKey(event);
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key in STEPS) return this.step(STEPS[key], event.shiftKey);
    if (key in TOOLS) return this.choose(TOOLS[key]), true;
    if (key === "Escape") return this.giveUp();
    const call = {
      "[": () => this.resizeBrush(Math.min(this.size - 1, this.size / 1.25)),
      "]": () => this.resizeBrush(Math.max(this.size + 1, this.size * 1.25)),
      "+": () => this.zoom(this.view.scale * 1.5),
      "-": () => this.zoom(this.view.scale / 1.5),
      "0": () => this.zoom(this.view.fit),
      "1": () => this.zoom(1),
      i: () => this.invert(),
      Delete: () => this.clear(),
      Enter: () => this.mark(event.shiftKey),
      " ": () => this.pen(event.shiftKey),
    }[key];
    call?.();
    return Boolean(call);
  }

  undoKey(event) {
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) this.back();
    else if (key === "y" || key === "z") this.forth();
    else return false;
    return true;
  }

  step([dx, dy], fine) {
    const { view, cursor } = this;
    const far = fine ? 1 : Math.max(1, Math.round(10 / view.scale));
    if (this.tool === "move") {
      view.move(view.left + 4 * dx * far, view.top + 4 * dy * far);
      this.draw();
      return true;
    }
    const to = (value, by, most) => Math.min(most - 0.5, Math.max(0.5, value + by));
    this.cursor = { x: to(cursor.x, dx * far, view.width), y: to(cursor.y, dy * far, view.height) };
    if (this.stroke) this.extend(this.cursor);
    this.follow();
    if (this.corner) this.place(this.band, this.corner, this.cursor);
    this.showRing(this.cursor);
    this.say(`${Math.floor(this.cursor.x)}, ${Math.floor(this.cursor.y)}`);
    return true;
  }

  // Moves the image until the cursor is visible.
  follow() {
    const { view, cursor } = this;
    const seen = { x: view.wide / view.scale, y: view.high / view.scale };
    const into = (value, start, length) => Math.max(Math.min(start, value - length * 0.1), value - length * 0.9);
    const [left, top] = [into(cursor.x, view.left, seen.x), into(cursor.y, view.top, seen.y)];
    if (left === view.left && top === view.top) return;
    view.move(left, top);
    this.draw();
  }

  mark(erase) {
    if (this.tool === "move") return;
    if (this.tool === "rectangle") return this.pen(erase);
    this.lift();
    this.begin(this.cursor, this.tool === "brush" && !erase);
    this.lift();
    this.say("painted");
  }

  pen(erase) {
    const [tool, on] = [this.tool, !erase && this.tool !== "eraser"];
    if (tool === "move") return;
    if (tool === "rectangle" && this.corner) return this.rectangle(this.cursor, on), this.say("filled");
    if (tool === "rectangle") {
      this.corner = { ...this.cursor, on };
      return this.say("first corner");
    }
    if (this.stroke) return this.lift(), this.say(`${tool} up`);
    this.begin(this.cursor, on);
    this.say(`${tool} down`);
  }
}

function render({ model, el }) {
  const painter = new Painter(model, el);
  return () => painter.close();
}

export default { render };
