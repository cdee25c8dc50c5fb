// A call as code in several languages, one shown at a time, with a button that copies it.

// Jupyter's shortcuts ("d d" deletes a cell) stay away from whatever has the keyboard in the form
// around, a menu say; those with Ctrl still work, so that Ctrl+S saves. Notebook 7 listens at the
// document while keys sink, so this is earlier, at the window. A part that says "true" itself, as
// the mask painter does, wants all keys.
function guardKeys(root) {
  const guard = (event) => {
    const target = event.target;
    const own = target.dataset?.lmSuppressShortcuts === "true";
    if (own || !target.closest?.(".imgopen-form")?.contains(root)) return;
    if (event.ctrlKey || event.metaKey) delete target.dataset.lmSuppressShortcuts;
    else target.dataset.lmSuppressShortcuts = "form";
  };
  window.addEventListener("keydown", guard, true);
  return () => window.removeEventListener("keydown", guard, true);
}

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
  const unguard = guardKeys(root);
  return () => {
    unguard();
    model.off("change:codes", show);
  };
}

export default { render };
