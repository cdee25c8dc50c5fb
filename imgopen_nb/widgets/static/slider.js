// Two images on top of each other: left of the bar the one before, right of it the one after.

const KEYS = {
  ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10,
  Home: -Infinity, End: Infinity,
};

function render({ model, el }) {
  const root = add(el, "div", "imgopen-slider imgopen");
  const frame = add(root, "div", "frame");
  const before = add(frame, "img", { draggable: "false" });
  const after = add(frame, "img", { class: "after", draggable: "false" });
  add(frame, "span", { class: "tag", "aria-hidden": "true" }, "before");
  add(frame, "span", { class: "tag right", "aria-hidden": "true" }, "after");
  const bar = add(frame, "div", {
    class: "bar", role: "slider", tabindex: "0", "aria-label": "share of the image before",
    "aria-valuemin": "0", "aria-valuemax": "100", "aria-orientation": "horizontal", ...NO_SHORTCUTS,
  });
  const line = add(root, "div", "line");

  const show = (image, name, alt) => {
    URL.revokeObjectURL(image.src);
    image.src = jpegUrl(model.get(name));
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
    bar.setAttribute("aria-valuenow", Math.round(at));
    bar.setAttribute("aria-valuetext", `${Math.round(at)} % before, ${100 - Math.round(at)} % after`);
  };

  const move = (position) => {
    model.set("position", Math.min(100, Math.max(0, position)));
  };

  const follow = (event) => {
    const box = frame.getBoundingClientRect();
    move((100 * (event.clientX - box.left)) / box.width);
  };

  let dragging = false;
  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    dragging = true;
    bar.focus({ preventScroll: true });
    try {
      frame.setPointerCapture(event.pointerId);
    } catch {} // pointers that a script makes cannot be captured
    follow(event);
  });
  frame.addEventListener("pointermove", (event) => dragging && follow(event));
  for (const name of ["pointerup", "pointercancel"]) {
    frame.addEventListener(name, () => {
      if (dragging) model.save_changes();
      dragging = false;
    });
  }
  root.addEventListener("keydown", (event) => {
    const by = KEYS[event.key];
    if (by === undefined || event.altKey || accelerated(event)) return passOn(event, root);
    event.preventDefault();
    move(model.get("position") + by * (event.shiftKey ? 10 : 1));
    model.save_changes();
  });

  pictures();
  place();
  const names = ["before", "after", "names", "width", "height", "alike"];
  const handlers = Object.fromEntries(names.map((name) => [`change:${name}`, pictures]));
  const stop = listenTo(model, { ...handlers, "change:position": place });
  return () => {
    stop();
    for (const image of [before, after]) URL.revokeObjectURL(image.src);
  };
}

export default { render };
