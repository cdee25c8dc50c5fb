// Buttons on the cards of one kernel: copy what they say, use their image as an input.
// The cards are static HTML in any output; this has no view of its own, and finds them in the page.

const PATIENCE = 10000; // milliseconds until a kernel that does not answer is said to be lost

// Returns the text of a card that is worth copying, as [button, text], or null. What was cut is not.
function said(card) {
  const caption = card.querySelector(".io-caption");
  const label = caption?.classList.contains("prompt") ? "Copy prompt" : "Copy caption";
  if (caption) return caption.querySelector(".io-quiet") ? null : [label, caption.textContent];
  const failed = card.querySelector(".io-message");
  if (failed) return ["Copy the error", failed.textContent];
  const tags = [...card.querySelectorAll(".io-stack > .io-chips bdi")].map((tag) => tag.textContent);
  const all = tags.length && !card.querySelector(".io-chips > .io-help");
  return all ? ["Copy tags", tags.join(", ")] : null;
}

// Whether the browser moves a card's before/after slider without a script: see imgopen.css.
const slides = () => CSS.supports("animation-timeline: view()") && CSS.supports("selector(::-webkit-slider-thumb)");

// Puts the slider of the widget in the place of two images side by side.
function slide(pair) {
  const root = make("div", "imgopen imgopen-slider");
  const { frame, place, ...images } = beforeAfter(root, (position) => place(position));
  for (const [name, image] of [["before", images.before], ["after", images.after]]) {
    const given = pair.querySelector(name === "before" ? ".io-over img" : ":scope > div:not(.io-over) img");
    image.src = given.src;
    image.alt = given.alt;
  }
  for (const name of ["--wide", "--high"]) frame.style.setProperty(name, pair.style.getPropertyValue(name));
  root.style.width = `${pair.style.getPropertyValue("--wide")}px`;
  pair.replaceWith(root);
}

function initialize({ model }) {
  const asked = new Map(); // what waits for a form, by number
  let number = 0;

  const menu = (card, below, status) => {
    const uses = make("select", { "aria-label": "Use as input" }, make("option", { value: "" }, "Use as input"));
    for (const [name, text] of model.get("uses")) add(uses, "option", { value: name }, text);
    uses.addEventListener("change", () => {
      if (!uses.value) return;
      const key = String(++number);
      status.textContent = "";
      const timer = setTimeout(() => {
        asked.delete(key);
        status.textContent = "The kernel does not answer. Run the cell again.";
      }, PATIENCE);
      asked.set(key, { below, status, timer });
      model.send({ kind: "use", operation: uses.value, image: card.dataset.image, place: key });
      uses.value = "";
    });
    return make("span", "io-select s", uses);
  };

  const dress = (card) => {
    card.dataset.live = "";
    if (!slides()) card.querySelectorAll(".io-pair").forEach(slide);
    if (card.closest(".imgopen-form")) return; // which has its own
    const bar = make("div", "imgopen imgopen-cards");
    const row = add(bar, "div", "io-row");
    const below = make("div", "below"), status = make("span", { class: "io-help", role: "status" });
    const code = card.querySelector(".io-code > code");
    const text = said(card);
    const press = (what) => (pressed) => copy(pressed, what, () => "Copying is not allowed here");
    if (text) row.append(button({ class: "io-btn s" }, press(text[1]), text[0]));
    if (card.dataset.image) row.append(menu(card, below, status));
    if (code) row.append(button({ class: "io-btn s quiet" }, press(code.textContent), "Copy as code"));
    if (!row.childElementCount) return;
    row.append(status);
    card.querySelector(".io-from").before(bar);
    card.after(below);
  };

  const cards = `.io-card[data-run="${model.get("run")}"]:not([data-live])`;
  let due = 0;
  const look = () => {
    due ||= requestAnimationFrame(() => {
      due = 0;
      document.querySelectorAll(cards).forEach(dress);
    });
  };
  const observer = new MutationObserver(look);
  observer.observe(document.body, { childList: true, subtree: true });
  look();

  const answer = async (content) => {
    const waiting = asked.get(content?.place);
    if (!waiting) return;
    asked.delete(content.place);
    clearTimeout(waiting.timer);
    if (content.kind === "error") waiting.status.textContent = content.text;
    else {
      waiting.below.replaceChildren();
      await placeWidget(model, content.model, waiting.below);
    }
  };
  model.on("msg:custom", answer);
  const quiet = suppressShortcuts((target) => target.closest?.(".imgopen-cards, .io-pair"));
  return () => {
    quiet();
    observer.disconnect();
    model.off("msg:custom", answer);
  };
}

export default { initialize };
