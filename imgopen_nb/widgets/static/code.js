// A call as code in several languages, one shown at a time, with a button that copies it.

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "imgopen-code";
  const bar = document.createElement("div");
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", "this form as code");
  const text = document.createElement("pre");
  text.tabIndex = 0;
  root.append(bar, text);
  el.append(root);
  let chosen = 0;

  const button = (label, press) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.addEventListener("click", press);
    bar.append(made);
    return made;
  };

  const copy = async (made) => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      made.textContent = "Copied";
    } catch {
      // Pages without TLS have no clipboard: select the text, so that Ctrl+C does it.
      getSelection().selectAllChildren(text);
      made.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { made.textContent = "Copy"; }, 1500);
  };

  const show = () => {
    const codes = model.get("codes");
    bar.replaceChildren();
    codes.forEach(([label], at) => {
      const made = button(label, () => { chosen = at; show(); });
      made.setAttribute("aria-pressed", String(at === chosen));
    });
    const last = button("Copy", () => copy(last));
    text.textContent = codes[chosen]?.[1] ?? "";
    text.setAttribute("aria-label", codes[chosen]?.[0] ?? "");
  };

  model.on("change:codes", show);
  show();
  return () => model.off("change:codes", show);
}

export default { render };
