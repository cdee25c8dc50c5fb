// The preview of an image; another one can be dropped, pasted or chosen.

const MOST_BYTES = 50_000_000;
const ICON = '<svg class="io-i" viewBox="0 0 16 16" aria-hidden="true"><rect x="2" y="3" width="12" height="10" rx="1"/><circle cx="5.5" cy="6.500" r="1"/><path d="m2.500 12 3.500-3.500 2.500 2.500 2-2 3 3"/></svg>';

function render({ model, el }) {
  const zone = add(el, "label", { class: "imgopen-drop imgopen", tabindex: "0" });
  const input = add(zone, "input", { class: "imgopen-drop-input", type: "file", accept: "image/*" });
  input.multiple = model.get("several");
  const image = add(zone, "img");
  zone.insertAdjacentHTML("beforeend", ICON);
  const text = add(zone, "span", "what");
  const how = add(zone, "span", "how");
  let shown = null;

  const show = () => {
    if (shown) URL.revokeObjectURL(shown);
    const data = model.get("preview");
    shown = data?.byteLength ?? data?.length ? jpegUrl(data) : null;
    image.hidden = !shown || model.get("compact");
    zone.classList.toggle("compact", model.get("compact"));
    zone.classList.toggle("filled", Boolean(shown));
    how.textContent = model.get("several") ? "Choose files" : shown ? "Change image" : "Choose a file";
    if (shown) image.src = shown;
    image.alt = model.get("alt");
    text.textContent = model.get("text");
    zone.setAttribute("aria-label", model.get("label"));
  };

  const send = async (files) => {
    for (const file of [...files].slice(0, 100)) {
      if (file.size > MOST_BYTES) model.send({ kind: "too large", name: file.name });
      else model.send({ kind: "file", name: file.name }, undefined, [await file.arrayBuffer()]);
    }
  };

  input.addEventListener("change", () => {
    send(input.files);
    input.value = "";
  });
  zone.addEventListener("keydown", (event) => {
    if (event.target === zone && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      input.click();
    }
  });
  zone.addEventListener("paste", (event) => send(event.clipboardData.files));
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  for (const name of ["dragenter", "dragover", "drop"]) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      event.stopPropagation();
      zone.classList.toggle("over", name !== "drop");
      if (name === "drop") send(event.dataTransfer.files);
    });
  }
  show();
  const names = ["preview", "text", "label", "alt", "compact"];
  const stop = listenTo(model, Object.fromEntries(names.map((name) => [`change:${name}`, show])));
  return () => {
    stop();
    if (shown) URL.revokeObjectURL(shown);
  };
}

export default { render };
