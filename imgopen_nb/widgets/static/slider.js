// Two pictures over each other: left of the bar the one before, right of it the one after.

const KEYS = {
  ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10,
  Home: -Infinity, End: Infinity,
};

function made(name, parent, attributes, text = "") {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

// JupyterLab and Notebook read their shortcuts before we do, so what can have the focus carries the
// sign that they are off there. What we have no use for, such as Ctrl+S, is given to them again.
function passOn(event, root) {
  if (!event.ctrlKey && !event.metaKey) return;
  const again = new KeyboardEvent(event.type, event);
  if (!root.parentElement.dispatchEvent(again)) event.preventDefault();
}

function build(el) {
  const root = made("div", el, { class: "imgopen-slider" });
  const frame = made("div", root, { class: "frame" });
  const before = made("img", frame, { draggable: "false" });
  const after = made("img", frame, { class: "after", draggable: "false" });
  made("span", frame, { class: "tag", "aria-hidden": "true" }, "before");
  made("span", frame, { class: "tag right", "aria-hidden": "true" }, "after");
  const bar = made("div", frame, {
    class: "bar", "data-lm-suppress-shortcuts": "true", role: "slider", tabindex: "0", "aria-label": "share of the picture before",
    "aria-valuemin": "0", "aria-valuemax": "100", "aria-orientation": "horizontal",
  });
  const line = made("div", root, { class: "line" });
  return { root, frame, before, after, bar, line };
}

function render({ model, el }) {
  const { root, frame, before, after, bar, line } = build(el);
  const sources = new Map();

  const show = (image, name, alt) => {
    URL.revokeObjectURL(sources.get(name));
    sources.set(name, URL.createObjectURL(new Blob([model.get(name)], { type: "image/jpeg" })));
    image.src = sources.get(name);
    image.alt = alt;
  };

  const pictures = () => {
    const [one, other] = model.get("names");
    frame.style.setProperty("--wide", model.get("width"));
    frame.style.setProperty("--high", model.get("height"));
    show(before, "before", `before: ${one}`);
    show(after, "after", `after: ${other}`);
    after.style.objectFit = model.get("alike") ? "fill" : "contain";
    line.textContent = `${one} → ${other}`;
  };

  const place = () => {
    const at = Math.min(100, Math.max(0, model.get("position")));
    frame.style.setProperty("--at", `${at}%`);
    bar.setAttribute("aria-valuenow", String(Math.round(at)));
    bar.setAttribute("aria-valuetext", `${Math.round(at)} % before, ${100 - Math.round(at)} % after`);
  };

  const move = (position) => {
    model.set("position", Math.min(100, Math.max(0, position)));
  };

  const follow = (event) => {
    const box = frame.getBoundingClientRect();
    move((100 * (event.clientX - box.left)) / box.width);
  };

  let held = false;
  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    held = true;
    bar.focus({ preventScroll: true });
    try {
      frame.setPointerCapture(event.pointerId);
    } catch {} // pointers that a script makes cannot be captured
    follow(event);
  });
  frame.addEventListener("pointermove", (event) => held && follow(event));
  for (const name of ["pointerup", "pointercancel"]) {
    frame.addEventListener(name, () => {
      if (held) model.save_changes();
      held = false;
    });
  }
  root.addEventListener("keydown", (event) => {
    const by = KEYS[event.key];
    if (by === undefined || event.altKey || event.ctrlKey || event.metaKey)
      return passOn(event, root);
    event.preventDefault();
    move(model.get("position") + by * (event.shiftKey ? 10 : 1));
    model.save_changes();
  });

  const names = ["before", "after", "names", "width", "height", "alike"];
  for (const name of names) model.on(`change:${name}`, pictures);
  model.on("change:position", place);
  pictures();
  place();
  return () => {
    for (const name of names) model.off(`change:${name}`, pictures);
    model.off("change:position", place);
    for (const url of sources.values()) URL.revokeObjectURL(url);
  };
}

export default { render };
