// Helpers of all widgets: `widgets.script` puts them at the start of each module.

// Makes an element; `attributes` may be just a class name, children are elements and strings.
function make(tag, attributes = "", ...children) {
  const element = document.createElement(tag);
  const given = typeof attributes !== "string" ? attributes : attributes && { class: attributes };
  for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Makes an element at the end of another one.
function add(parent, ...parts) {
  const element = make(...parts);
  parent.append(element);
  return element;
}

// Makes an element for a text in any language; the browser detects its direction.
function words(tag, name, text = "") {
  return make(tag, { class: name, dir: "auto" }, text);
}

function button(attributes, press, ...children) {
  const element = make("button", { type: "button", ...attributes }, ...children);
  element.addEventListener("click", () => press(element));
  return element;
}

function jpegUrl(data) {
  return URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
}

// Copies a text and says so on the button; without a clipboard (pages without TLS have none)
// the button says what `fail` returns.
async function copy(pressed, text, fail, milliseconds = 1500) {
  const label = pressed.dataset.label ??= pressed.textContent;
  try {
    await navigator.clipboard.writeText(text);
    pressed.textContent = "Copied";
  } catch {
    pressed.textContent = fail();
  }
  setTimeout(() => { pressed.textContent = label; }, milliseconds);
}

function selectText(element) {
  getSelection().selectAllChildren(element);
  return "Press Ctrl+C";
}

// Puts an ipywidget into an element, as a Lumino panel would; returns its view.
async function placeWidget(model, reference, box) {
  const child = await model.widget_manager.get_model(reference.replace("IPY_MODEL_", ""));
  const view = await model.widget_manager.create_view(child);
  const panel = view.luminoWidget;
  panel?.processMessage({ type: "before-attach" });
  box.append(view.el);
  panel?.processMessage({ type: "after-attach" });
  return view;
}

// Calls handlers for events of the model; returns a function that stops it.
function listenTo(model, handlers) {
  for (const [name, handler] of Object.entries(handlers)) model.on(name, handler);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) model.off(name, handler);
  };
}

function accelerated(event) {
  return event.ctrlKey || event.metaKey;
}

// Calls a handler with each key before the notebook gets it; returns a function that stops it.
// JupyterLab listens at the document in the bubbling phase, Notebook 7 in the capturing phase.
function watchKeys(handler) {
  window.addEventListener("keydown", handler, true);
  return () => window.removeEventListener("keydown", handler, true);
}

// The notebook ignores its shortcuts ("d d" deletes a cell) if the focused element has this.
const NO_SHORTCUTS = { "data-lm-suppress-shortcuts": "true" };

// Turns shortcuts off while one of these elements has the focus, except for keys that `passes`.
function suppressShortcuts(covers, passes = accelerated) {
  return watchKeys((event) => {
    const { target } = event;
    if (covers(target)) target.toggleAttribute("data-lm-suppress-shortcuts", !passes(event));
  });
}

// Gives a key that the widget does not use, such as Ctrl+S, back to the notebook.
function passOn(event, root) {
  if (!accelerated(event)) return;
  const again = new KeyboardEvent(event.type, event);
  if (!root.parentElement.dispatchEvent(again)) event.preventDefault();
}

