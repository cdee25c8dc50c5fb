// The preview of an image; another one can be dropped, pasted or chosen.

const MOST_BYTES = 50_000_000;

function render({ model, el }) {
  const zone = add(el, "label", { class: "imgopen-drop imgopen", tabindex: "0" });
  const input = add(zone, "input", { class: "imgopen-drop-input", type: "file", accept: "image/*" });
  input.multiple = model.get("several");
  const image = add(zone, "img");
  const text = add(zone, "span");
  let shown = null;

  const show = () => {
    if (shown) URL.revokeObjectURL(shown);
    const data = model.get("preview");
    shown = data?.byteLength ?? data?.length ? jpegUrl(data) : null;
    image.hidden = !shown || model.get("compact");
    zone.classList.toggle("compact", model.get("compact"));
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
