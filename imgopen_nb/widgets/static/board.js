// The caption board: the captions of several models and those of a person, used by keyboard or
// mouse. The kernel has all data; the browser has one page of images and the text being written.
//
// Captions are not trusted: they are only set as textContent.

const MOST_TEXT = 20_000;
const PATIENCE = 1200; // milliseconds until the board says that it waits
const SIGNS = { Enter: "⏎", Escape: "Esc" };
const OF = { shared: "said by all", partly: "said by several", own: "said by one" };
const MERGES = [
  ["m", "sentence + tags", "Sentence + tags", "the sentence, and the tags that it does not say"],
  ["t", "tags only", "Tags only", "every tag of any model"],
  ["u", "union", "Union", "all sentences and all tags, each of them once"],
  ["i", "intersection", "Intersection", "the sentence and tags that all models give"],
  ["s", "subtraction", "Subtraction", "the tags that only the first model gives"],
  ["v", "vote", "Vote", "the tags that more than half of the models give"],
];
const HELP = [
  ["↑ ↓ or k j", "the image before, the next"],
  ["Page ↑ Page ↓", "the page before, the next"],
  ["1 … 9", "pick the caption of that model"],
  ...MERGES.map(([key, , label, about]) => [key, `${label}: ${about}`]),
  ["e", "edit your caption; Ctrl+Enter saves, Esc closes"],
  ["a", "take over the caption that is offered"],
  ["z", "undo the last change"],
  ["?", "show or hide this help"],
];

function say(board, text, trouble = false) {
  board.status.textContent = text;
  board.status.classList.toggle("trouble", trouble);
}

function send(board, content) {
  board.model.send(content);
  clearTimeout(board.waiting);
  board.waiting = setTimeout(() => say(board, "waiting for the kernel …"), PATIENCE);
}

function pageOf(board, at) {
  return Math.floor(at / board.size);
}

function go(board, at, focus) {
  const last = board.model.get("total") - 1;
  const to = Math.max(0, Math.min(last, at));
  if (pageOf(board, to) === board.page) select(board, to, focus);
  else leaveEditor(board, () => {
    board.wanted = { page: pageOf(board, to), at: to, focus };
    send(board, { kind: "page", page: board.wanted.page });
  });
}

function showRows(board, message) {
  if (message.page === board.wanted?.page) {
    board.page = message.page;
    dropPictures(board);
    board.rows = new Map(message.rows.map((row) => [row.image, newRow(board, row)]));
    board.list.replaceChildren(...[...board.rows.values()].map((row) => row.element));
    const { at, focus } = board.wanted;
    board.wanted = null;
    select(board, at, focus);
    board.model.send({ kind: "thumbs", images: [...board.rows.keys()] });
  } else if (message.page === board.page) {
    for (const row of message.rows) fill(board, row);
  }
  showCount(board);
}

function newRow(board, data) {
  const image = make("img");
  image.hidden = true;
  const frame = make("div", "picture", image);
  const body = make("div", "said");
  const head = make("div", "name");
  const element = make("div", { class: "row", role: "group", tabindex: "-1" }, head, frame, body);
  element.addEventListener("focusin", () => select(board, data.image, false));
  element.addEventListener("dblclick", (event) => {
    if (event.target.closest(".mine")) openEditor(board);
  });
  const row = { element, head, frame, image, body, data, url: null };
  fillRow(board, row, data);
  return row;
}

function fill(board, data) {
  const row = board.rows.get(data.image);
  if (row) fillRow(board, row, data);
}

function fillRow(board, row, data) {
  row.data = data;
  const place = `${data.image + 1} of ${board.model.get("total")}`;
  row.element.setAttribute("aria-label", `image ${place}: ${data.name}`);
  row.head.replaceChildren(make("b", "", String(data.image + 1)), words("bdi", "", data.name));
  if (data.agreement) row.head.append(make("span", "quiet", `agreement ${data.agreement}`));
  if (data.doubt) row.head.append(make("span", "quiet", data.doubt));
  row.image.alt = data.name;
  // The focused element may be replaced; without focus, keys would go to the notebook.
  const focused = row.body.contains(document.activeElement);
  const models = board.model.get("models");
  const cards = models.map((model, at) => card(board, data, model, data.said[at], at));
  row.body.replaceChildren(make("div", "models", ...cards), mine(board, data));
  if (focused) row.element.focus();
  setTabs(row, board.at === data.image);
}

function card(board, data, model, said, at) {
  const press = () => act(board, data.image, { kind: "pick", model: at });
  const pick = button({ class: "pick", title: `pick this caption (${at + 1})` }, press);
  if (at < 9) add(pick, "kbd", "", at + 1);
  pick.append(words("bdi", "", model));
  pick.disabled = !said || said.trouble !== "";
  const reason = said ? `no caption: ${said.trouble}` : "not described";
  if (pick.disabled) return make("section", "model", pick, words("div", "quiet", reason));
  const text = said.list ? [] : [words("div", "text", said.text)];
  return make("section", "model", pick, ...text, chips(said));
}

function chips(said) {
  const made = said.chips.map(([tag, whose]) =>
    make("span", { class: `chip ${whose}`, title: OF[whose] }, words("bdi", "", tag)));
  if (said.more) made.push(make("span", "quiet", `… ${said.more} more`));
  return make("div", "chips", ...made);
}

function mine(board, data) {
  const held = data.held;
  const edit = button({ class: "edit", title: "edit your caption (e)" }, () => {
    select(board, data.image, false);
    openEditor(board);
  }, "Edit ", make("kbd", "", "e"));
  const badge = held ? [make("span", `badge ${held.kind}`, held.kind)] : [];
  const top = make("div", "top", make("b", "", "yours"), ...badge, edit);
  if (data.trouble) return make("section", "mine", words("div", "quiet", data.trouble));
  if (!held) return make("section", "mine", top, ...(data.offer ? offered(board, data)
    : [make("div", "quiet", "no caption yet")]));
  const from = [held.origin, held.when].filter(Boolean).join(" · ");
  return make("section", "mine", top, words("div", "text", held.shown), words("div", "quiet", from));
}

// A caption that may be meant for this image. It counts only once it is taken over.
function offered(board, data) {
  const { text, why, when } = data.offer;
  const accept = button({ class: "accept", title: "take it over as your caption (a)" },
    () => act(board, data.image, { kind: "accept" }), "Use this caption ", make("kbd", "", "a"));
  return [words("div", "quiet", `Not used yet: ${why} · ${when}`), words("div", "offer", text), accept];
}

function setTabs(row, current) {
  row.element.tabIndex = current ? 0 : -1;
  row.element.classList.toggle("current", current);
  if (current) row.element.setAttribute("aria-current", "true");
  else row.element.removeAttribute("aria-current");
  // Only the buttons of the current row can be reached with Tab.
  for (const each of row.body.querySelectorAll("button")) each.tabIndex = current ? 0 : -1;
}

function select(board, at, focus) {
  const row = board.rows.get(at);
  if (!row) return;
  if (board.at !== at) {
    const before = board.rows.get(board.at);
    board.at = at;
    if (before) setTabs(before, false);
  }
  setTabs(row, true);
  if (focus) {
    row.element.focus({ preventScroll: true });
    row.element.scrollIntoView({ block: "nearest" });
  }
}

function showCount(board) {
  const total = board.model.get("total");
  const pages = Math.ceil(total / board.size);
  board.count.textContent = `${board.model.get("written")} of ${total} have a caption`;
  board.pages.hidden = pages < 2;
  board.where.textContent = `page ${board.page + 1} of ${pages}`;
  board.before.disabled = board.page === 0;
  board.after.disabled = board.page >= pages - 1;
}

function showPicture(board, at, data) {
  const row = board.rows.get(at);
  if (!row) return;
  if (!data) {
    row.frame.replaceChildren(make("span", "quiet", "image not available"));
    return;
  }
  if (row.url) URL.revokeObjectURL(row.url);
  row.url = jpegUrl(data);
  row.image.src = row.url;
  row.image.hidden = false;
}

function dropPictures(board) {
  for (const row of board.rows.values()) if (row.url) URL.revokeObjectURL(row.url);
}

function act(board, at, content) {
  leaveEditor(board, () => {
    select(board, at, true);
    send(board, { ...content, image: at });
  });
}

function showRow(board, message) {
  const { row, done } = message;
  const saved = done && board.editor?.image === row.image && board.editor.sent;
  const after = saved && board.editor.after;
  if (saved) closeEditor(board);
  if (done && board.question?.image === row.image) endQuestion(board);
  fill(board, row);
  // A row that has grown may be out of view.
  const here = done && row.image === board.at && board.rows.get(row.image);
  if (here) here.element.scrollIntoView({ block: "nearest" });
  if (after) after();
}

// Asks one question, which is answered by Enter, Esc or a click.
function ask(board, image, texts, choices) {
  const bar = board.bar;
  const text = make("div", "question", ...texts.map(([name, said]) => words("div", name, said)));
  const buttons = choices.map(([label, key, press]) => button({}, () => {
    endQuestion(board);
    press();
  }, `${label} `, make("kbd", "", SIGNS[key] ?? key)));
  board.question = { image, keys: new Map(choices.map(([, key], at) => [key, buttons[at]])) };
  bar.replaceChildren(text, ...buttons);
  bar.hidden = false;
  bar.setAttribute("aria-label", texts.map(([, said]) => said).join(" "));
  // A late message must not take the focus away from another cell.
  if (board.root.contains(document.activeElement)) buttons[0].focus();
  say(board, "");
}

function endQuestion(board) {
  const focused = board.bar.contains(document.activeElement);
  board.question = null;
  board.bar.hidden = true;
  board.bar.replaceChildren();
  if (focused) focusBack(board);
}

function focusBack(board) {
  if (board.editor) board.editor.area.focus();
  else board.rows.get(board.at)?.element.focus({ preventScroll: true });
}

function askForKernel(board, message) {
  const editor = board.editor;
  // While somebody is writing, a key meant for the text must not answer a question.
  if (editor && !editor.sent) {
    say(board, `${message.name}: nothing was replaced, as you are writing`, true);
    return;
  }
  const keep = () => {
    if (editor) unlock(editor);
    focusBack(board);
    say(board, "nothing was replaced");
  };
  ask(board, message.image, [["", `${message.name}: ${message.text}`], ["held", message.held]], [
    ["Replace", "Enter", () => send(board, message.again)],
    ["Keep", "Escape", keep],
  ]);
}

function openEditor(board) {
  const row = board.rows.get(board.at);
  if (!row) return;
  if (board.editor?.image === board.at) {
    board.editor.area.focus();
    return;
  }
  leaveEditor(board, () => {
    const text = row.data.held?.text ?? "";
    const area = writingArea(row.data.name, text);
    const box = add(row.element, "div", "editor", area, editorButtons(board));
    const base = row.data.held?.id ?? null;
    board.editor = { image: board.at, base, area, box, before: area.value, sent: false };
    area.focus();
    box.scrollIntoView({ block: "nearest" });
  });
}

function writingArea(name, text) {
  const area = make("textarea", {
    dir: "auto", maxlength: MOST_TEXT, rows: 4, spellcheck: true, "aria-label": `your caption of ${name}`,
  });
  area.value = text;
  return area;
}

function editorButtons(board) {
  const close = () => leaveEditor(board, () => focusBack(board));
  return make("div", "buttons",
    button({}, () => saveEditor(board), "Save ", make("kbd", "", "Ctrl+⏎")),
    button({}, close, "Close ", make("kbd", "", "Esc")));
}

function saveEditor(board, after) {
  const { image, base, area, before } = board.editor;
  board.editor.after = after;
  if (area.value === before) {
    closeEditor(board);
    return;
  }
  board.editor.sent = true;
  area.readOnly = true; // the text stays until the kernel has saved it
  send(board, { kind: "edit", image, text: area.value, base });
}

function unlock(editor) {
  editor.sent = false;
  editor.area.readOnly = false;
}

function closeEditor(board) {
  const { box, image } = board.editor;
  const focused = [box, board.bar].some((part) => part.contains(document.activeElement));
  board.editor = null;
  box.remove();
  if (focused) select(board, image, true);
}

// Continues with `next`, but asks first if a text is not saved.
function leaveEditor(board, next) {
  const editor = board.editor;
  if (!editor || editor.area.value === editor.before) {
    if (editor) closeEditor(board);
    next();
    return;
  }
  ask(board, editor.image, [["", "Your caption is not saved yet."]], [
    ["Save", "Enter", () => saveEditor(board, next)],
    ["Go on writing", "Escape", () => editor.area.focus()],
    ["Drop it", "d", () => { closeEditor(board); next(); }],
  ]);
}

function shortcuts(board) {
  const here = (content) => () => act(board, board.at, content);
  const keys = {
    ArrowDown: () => go(board, board.at + 1, true),
    ArrowUp: () => go(board, board.at - 1, true),
    PageDown: () => turn(board, 1),
    PageUp: () => turn(board, -1),
    e: () => openEditor(board),
    a: here({ kind: "accept" }),
    z: () => leaveEditor(board, () => send(board, { kind: "undo" })),
    "?": () => toggleHelp(board),
    Escape: () => toggleHelp(board, false),
  };
  keys.j = keys.ArrowDown;
  keys.k = keys.ArrowUp;
  for (const [key, how] of MERGES) keys[key] = here({ kind: "merge", how });
  for (let at = 0; at < Math.min(9, board.model.get("models").length); at += 1) {
    keys[String(at + 1)] = here({ kind: "pick", model: at });
  }
  return keys;
}

function turn(board, step) {
  const to = (board.page + step) * board.size;
  if (to >= 0 && to < board.model.get("total")) go(board, to, true);
}

function savesNotebook(event) {
  return accelerated(event) && event.key.toLowerCase() === "s";
}

function onKey(board, event) {
  if (savesNotebook(event)) return;
  event.stopPropagation();
  if (event.isComposing) return;
  if (board.question && event.target !== board.editor?.area) answer(board, event);
  else if (event.target === board.editor?.area) editorKey(board, event);
  else if (!accelerated(event) && !event.altKey) {
    const run = Object.hasOwn(board.keys, event.key) && board.keys[event.key];
    if (!run) return;
    event.preventDefault();
    run();
  }
}

function answer(board, event) {
  if (event.key === "Tab" || event.target.closest("button")?.parentElement === board.bar
    && (event.key === "Enter" || event.key === " ")) return;
  event.preventDefault();
  const choice = board.question.keys.get(event.key);
  if (choice && !event.repeat) choice.click();
  else board.bar.querySelector("button").focus();
}

function editorKey(board, event) {
  if (event.key === "Escape") {
    event.preventDefault();
    leaveEditor(board, () => focusBack(board));
  } else if (event.key === "Enter" && accelerated(event)) {
    event.preventDefault();
    if (!board.editor.sent) saveEditor(board);
  }
}

function toggleHelp(board, shown = board.help.hidden) {
  board.help.hidden = !shown;
  board.helper.setAttribute("aria-expanded", String(shown));
}

function toolbar(board) {
  const tool = (label, key, title, press) =>
    button({ title }, press, `${label} `, make("kbd", "", key));
  board.helper = tool("Help", "?", "the keys", () => toggleHelp(board));
  board.helper.setAttribute("aria-expanded", "false");
  return make("div",
    { class: "tools", role: "toolbar", "aria-label": "what to do with the marked image" },
    ...MERGES.map(([key, how, label, about]) =>
      tool(label, key, about, () => act(board, board.at, { kind: "merge", how }))),
    tool("Undo", "z", "undo the last change", () => board.keys.z()), board.helper);
}

function helpPanel() {
  const list = make("dl", "help");
  for (const [keys, about] of HELP) list.append(make("dt", "", keys), make("dd", "", about));
  const legend = Object.entries(OF).map(([name, text]) => make("span", `chip ${name}`, text));
  list.append(make("dt", "", "colours"), make("dd", "chips", ...legend));
  list.hidden = true;
  return list;
}

function pager(board) {
  const turner = (text, label, key, step) =>
    button({ title: `${label} (${key})`, "aria-label": label }, () => turn(board, step), text);
  board.before = turner("‹", "the page before", "Page ↑", -1);
  board.after = turner("›", "the next page", "Page ↓", 1);
  board.where = make("span");
  return make("span", "pages", board.before, board.where, board.after);
}

function build(model, el) {
  const board = { model, size: model.get("size"), page: -1, at: 0, rows: new Map(), editor: null };
  board.count = make("span", "quiet");
  board.pages = pager(board);
  board.help = helpPanel();
  board.bar = make("div", { class: "bar", role: "alertdialog" });
  board.bar.hidden = true;
  board.status = make("div", { class: "status", role: "status", "aria-live": "polite" });
  board.list = make("div", "rows");
  board.keys = shortcuts(board);
  const top = make("div", "top", toolbar(board), board.pages, board.count);
  const notes = model.get("notes").map((note) => words("div", "quiet", note));
  board.root = add(el, "div", {
    class: "imgopen-board imgopen", role: "application",
    "aria-label": "caption board; press ? for its keys",
  }, top, ...notes, board.help, board.bar, board.status, board.list);
  return board;
}

function receive(board, content, buffers) {
  clearTimeout(board.waiting);
  if (board.status.textContent.startsWith("waiting")) say(board, "");
  if (content.kind === "rows") showRows(board, content);
  else if (content.kind === "row") showRow(board, content);
  else if (content.kind === "thumb") showPicture(board, content.image, buffers[0]);
  else if (content.kind === "ask") askForKernel(board, content);
  else if (content.kind === "said") {
    say(board, content.text, content.trouble);
    if (content.trouble && board.editor?.sent) unlock(board.editor);
    if (content.image >= 0) go(board, content.image, board.root.contains(document.activeElement));
  }
}

function render({ model, el }) {
  const board = build(model, el);
  board.root.addEventListener("keydown", (event) => onKey(board, event));
  const stopKeys = suppressShortcuts((target) => board.root.contains(target), savesNotebook);
  const stopModel = listenTo(model, {
    "msg:custom": (...given) => receive(board, ...given),
    "change:written": () => showCount(board),
  });
  board.wanted = { page: 0, at: 0, focus: false };
  send(board, { kind: "page", page: 0 });
  return () => {
    stopKeys();
    stopModel();
    clearTimeout(board.waiting);
    dropPictures(board);
  };
}

export default { render };
