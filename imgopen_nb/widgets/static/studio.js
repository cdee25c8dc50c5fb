// The menu of the studio: all operations by group, in plain words.

function render({ model, el }) {
  const select = make("select", { "aria-label": "Operation" });
  for (const [group, rows] of model.get("groups")) {
    const part = add(select, "optgroup", { label: group });
    for (const [name, text] of rows) add(part, "option", { value: name }, text);
  }
  const row = make("label", "io-row", make("span", "io-sub", "Operation"), make("span", "io-select", select));
  const root = add(el, "div", "imgopen imgopen-studio-menu", row);
  const show = () => { select.value = model.get("value"); };
  select.addEventListener("change", () => {
    model.set("value", select.value);
    model.save_changes();
  });
  show();
  const stopKeys = suppressShortcuts((target) => root.contains(target));
  const stopModel = listenTo(model, { "change:value": show });
  return () => {
    stopKeys();
    stopModel();
  };
}

export default { render };
