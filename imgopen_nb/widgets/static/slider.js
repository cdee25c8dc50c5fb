// The before/after slider as a widget: Python knows where the bar is, and can put it somewhere.

function render({ model, el }) {
  const root = add(el, "div", "imgopen-slider imgopen");
  const { frame, before, after, place } = beforeAfter(
    root, (position) => model.set("position", position), () => model.save_changes());
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

  const moved = () => place(model.get("position"));
  pictures();
  moved();
  const names = ["before", "after", "names", "width", "height", "alike"];
  const handlers = Object.fromEntries(names.map((name) => [`change:${name}`, pictures]));
  const stop = listenTo(model, { ...handlers, "change:position": moved });
  return () => {
    stop();
    for (const image of [before, after]) URL.revokeObjectURL(image.src);
  };
}

export default { render };
