// A picture's preview that takes another picture: dropped, pasted or chosen.

const MOST_BYTES = 50_000_000;

function render({ model, el }) {
  const zone = document.createElement("label");
  zone.className = "imgopen-drop";
  zone.tabIndex = 0;
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/*";
  input.multiple = model.get("several");
  input.className = "imgopen-drop-input";
  const image = document.createElement("img");
  const text = document.createElement("span");
  zone.append(input, image, text);
  el.append(zone);
  let shown = null;

  const show = () => {
    if (shown) URL.revokeObjectURL(shown);
    const data = model.get("preview");
    const bytes = data && (data.byteLength ?? data.length);
    shown = bytes ? URL.createObjectURL(new Blob([data], { type: "image/jpeg" })) : null;
    image.hidden = !shown;
    if (shown) image.src = shown;
    image.alt = model.get("alt");
    text.textContent = model.get("text");
    zone.setAttribute("aria-label", model.get("label"));
  };

  const send = async (files) => {
    for (const file of [...files].slice(0, 100)) {
      if (file.size > MOST_BYTES) {
        model.send({ kind: "too large", name: file.name });
        continue;
      }
      const bytes = await file.arrayBuffer();
      model.send({ kind: "file", name: file.name }, undefined, [bytes]);
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
  for (const name of ["dragenter", "dragover"]) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      event.stopPropagation();
      zone.classList.add("over");
    });
  }
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    zone.classList.remove("over");
    send(event.dataTransfer.files);
  });
  const names = ["preview", "text", "label", "alt"];
  for (const name of names) model.on(`change:${name}`, show);
  show();
  return () => {
    for (const name of names) model.off(`change:${name}`, show);
    if (shown) URL.revokeObjectURL(shown);
  };
}

export default { render };
