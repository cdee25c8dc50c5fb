// A call as code in several languages, one shown at a time, with a button that copies it.

function render({ model, el }) {
  const root = add(el, "div", "imgopen-code imgopen");
  const bar = add(root, "div", { role: "toolbar", "aria-label": "this form as code" });
  const text = add(root, "pre", { tabindex: "0" });
  let chosen = 0;

  const show = () => {
    const codes = model.get("codes");
    bar.replaceChildren(
      ...codes.map(([label], at) =>
        button({ "aria-pressed": at === chosen }, () => { chosen = at; show(); }, label)),
      button({}, (pressed) => copy(pressed, text.textContent, () => selectText(text)), "Copy"),
    );
    text.textContent = codes[chosen]?.[1] ?? "";
    text.setAttribute("aria-label", codes[chosen]?.[0] ?? "");
  };

  show();
  // For the complete form; the mask painter in it has the attribute "true" and wants all keys.
  const stopKeys = suppressShortcuts((target) => target.dataset?.lmSuppressShortcuts !== "true"
    && target.closest?.(".imgopen-form")?.contains(root));
  const stopModel = listenTo(model, { "change:codes": show });
  return () => {
    stopKeys();
    stopModel();
  };
}

export default { render };
