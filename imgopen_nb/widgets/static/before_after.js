// Two images on top of each other: left of the bar the one before, right of it the one after.

const KEYS = {
  ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10,
  Home: -Infinity, End: Infinity,
};

// Makes the frame with both images and the bar; returns them with `place`, which puts the bar somewhere.
// `move` is called with the position in per cent that somebody asks for, `done` when it is left there.
function beforeAfter(root, move, done = () => {}) {
  const frame = add(root, "div", "frame");
  const before = add(frame, "img", { draggable: "false" });
  const after = add(frame, "img", { class: "after", draggable: "false" });
  add(frame, "span", { class: "tag", "aria-hidden": "true" }, "before");
  add(frame, "span", { class: "tag right", "aria-hidden": "true" }, "after");
  const bar = add(frame, "div", {
    class: "bar", role: "slider", tabindex: "0", "aria-label": "share of the image before",
    "aria-valuemin": "0", "aria-valuemax": "100", "aria-orientation": "horizontal", ...NO_SHORTCUTS,
  });
  let now = 50;

  const place = (position) => {
    now = within(position);
    frame.style.setProperty("--at", `${now}%`);
    bar.setAttribute("aria-valuenow", Math.round(now));
    bar.setAttribute("aria-valuetext", `${Math.round(now)} % before, ${100 - Math.round(now)} % after`);
  };

  const follow = (event) => {
    const box = frame.getBoundingClientRect();
    move(within((100 * (event.clientX - box.left)) / box.width));
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
      if (dragging) done();
      dragging = false;
    });
  }
  root.addEventListener("keydown", (event) => {
    const by = KEYS[event.key];
    if (by === undefined || event.altKey || accelerated(event)) return passOn(event, root);
    event.preventDefault();
    move(within(now + by * (event.shiftKey ? 10 : 1)));
    done();
  });
  place(now);
  return { frame, before, after, place };
}

function within(position) {
  return Math.min(100, Math.max(0, position));
}
