// The caption board: captions of several models side by side, a person's beside them, by key or
// mouse. The kernel holds everything; here is one page of pictures and what is being written.
//
// Captions come from elsewhere: they only ever become textContent.

const MOST_TEXT = 20_000;
const PATIENCE = 1200;
const SIGNS = { Enter: "⏎", Escape: "Esc" };
const OF = { shared: "said by all", partly: "said by several", own: "said by one" };
const MERGES = [
  ["u", "union", "Union", "every tag of any model"],
  ["i", "intersection", "Intersection", "the tags that all models share"],
  ["s", "subtraction", "Subtraction", "the first model's tags that no other has"],
  ["v", "vote", "Vote", "the tags that most models share"],
];
const HELP = [
  ["↑ ↓ or k j", "the picture before, the next"],
  ["Page ↑ Page ↓", "the page before, the next"],
  ["1 … 9", "pick the caption of that model"],
  ...MERGES.map(([key, , label, about]) => [key, `${label}: ${about}`]),
  ["e", "edit your caption; Ctrl+Enter saves, Esc closes"],
  ["z", "take back what was done last"],
  ["?", "show or hide this help"],
];

function make(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function words(tag, name, text) {
  const made = make(tag, name, text);
  made.dir = "auto";
  return made;
}

function button(name, text, title, press) {
  const made = make("button", name, text);
  made.type = "button";
  made.title = title;
  made.addEventListener("click", press);
  return made;
}

function say(board, text, trouble = false) {
  board.status.textContent = text;
  board.status.classList.toggle("trouble", trouble);
}

function send(board, content) {
  board.model.send(content);
  clearTimeout(board.waiting);
  board.waiting = setTimeout(() => say(board, "waiting for the kernel …"), PATIENCE);
}

// Pages and rows

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
  const element = make("div", "row");
  element.setAttribute("role", "group");
  element.tabIndex = -1;
  const image = make("img");
  image.hidden = true;
  const frame = make("div", "picture");
  frame.append(image);
  const body = make("div", "said");
  const head = make("div", "name");
  element.append(head, frame, body);
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
  row.element.setAttribute("aria-label", `picture ${place}: ${data.name}`);
  row.head.replaceChildren(make("b", "", String(data.image + 1)), words("bdi", "", data.name));
  if (data.agreement) row.head.append(make("span", "quiet", `agreement ${data.agreement}`));
  row.image.alt = data.name;
  // What had the focus is about to go; without it the keys would go to the notebook.
  const focused = row.body.contains(document.activeElement);
  const models = board.model.get("models");
  const cards = make("div", "models");
  cards.append(...models.map((model, at) => card(board, data, model, data.said[at], at)));
  row.body.replaceChildren(cards, mine(board, data));
  if (focused) row.element.focus();
  setTabs(row, board.at === data.image);
}

function card(board, data, model, said, at) {
  const made = make("section", "model");
  const pick = button("pick", "", `pick this caption (${at + 1})`, () => {
    act(board, data.image, { kind: "pick", model: at });
  });
  if (at < 9) pick.append(make("kbd", "", String(at + 1)));
  pick.append(words("bdi", "", model));
  made.append(pick);
  if (!said || said.trouble) {
    pick.disabled = true;
    made.append(words("div", "quiet", said ? `no caption: ${said.trouble}` : "was not asked"));
    return made;
  }
  if (!said.list) made.append(words("div", "text", said.text));
  made.append(chips(said));
  return made;
}

function chips(said) {
  const made = make("div", "chips");
  for (const [tag, whose] of said.chips) {
    const chip = make("span", `chip ${whose}`);
    chip.title = OF[whose];
    chip.append(words("bdi", "", tag));
    made.append(chip);
  }
  if (said.more) made.append(make("span", "quiet", `… ${said.more} more`));
  return made;
}

function mine(board, data) {
  const made = make("section", "mine");
  const held = data.held;
  const top = make("div", "top");
  top.append(make("b", "", "yours"));
  if (held) top.append(make("span", `badge ${held.kind}`, held.kind));
  const edit = button("edit", "", "edit your caption (e)", () => {
    select(board, data.image, false);
    openEditor(board);
  });
  edit.append("Edit ", make("kbd", "", "e"));
  top.append(edit);
  made.append(top);
  if (!held) made.append(make("div", "quiet", "no caption yet"));
  else {
    made.append(words("div", "text", held.shown));
    const from = [held.origin, held.when].filter(Boolean).join(" · ");
    made.append(words("div", "quiet", from));
  }
  return made;
}

function setTabs(row, current) {
  row.element.tabIndex = current ? 0 : -1;
  row.element.classList.toggle("current", current);
  if (current) row.element.setAttribute("aria-current", "true");
  else row.element.removeAttribute("aria-current");
  // One row of buttons is enough to tab through.
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
  board.count.textContent = `${board.model.get("written")} of ${total} captioned by you`;
  board.pages.hidden = pages < 2;
  board.where.textContent = `page ${board.page + 1} of ${pages}`;
  board.before.disabled = board.page === 0;
  board.after.disabled = board.page >= pages - 1;
}

// Pictures

function showPicture(board, at, data) {
  const row = board.rows.get(at);
  if (!row) return;
  if (!data) {
    row.frame.replaceChildren(make("span", "quiet", "picture not at hand"));
    return;
  }
  if (row.url) URL.revokeObjectURL(row.url);
  row.url = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
  row.image.src = row.url;
  row.image.hidden = false;
}

function dropPictures(board) {
  for (const row of board.rows.values()) if (row.url) URL.revokeObjectURL(row.url);
}

// What is done with a picture

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
  // It may have grown out of sight.
  const here = done && row.image === board.at && board.rows.get(row.image);
  if (here) here.element.scrollIntoView({ block: "nearest" });
  if (after) after();
}

// Questions: one at a time, answered by Enter, Esc or a click

function ask(board, image, texts, choices) {
  const bar = board.bar;
  const text = make("div", "question");
  for (const [name, said] of texts) text.append(words("div", name, said));
  const buttons = choices.map(([label, key, press]) => {
    const made = button("", "", "", () => {
      endQuestion(board);
      press();
    });
    made.append(label + " ", make("kbd", "", SIGNS[key] ?? key));
    return made;
  });
  board.question = { image, keys: new Map(choices.map(([, key], at) => [key, buttons[at]])) };
  bar.replaceChildren(text, ...buttons);
  bar.hidden = false;
  bar.setAttribute("aria-label", texts.map(([, said]) => said).join(" "));
  // An answer that comes late takes nobody away from another cell.
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

function askedByKernel(board, message) {
  const editor = board.editor;
  // Nobody who is writing shall answer a question by a key meant for the text.
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

// The editor

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
    const box = make("div", "editor");
    box.append(area, editorButtons(board));
    row.element.append(box);
    const base = row.data.held?.id ?? null;
    board.editor = { image: board.at, base, area, box, before: area.value, sent: false };
    area.focus();
    box.scrollIntoView({ block: "nearest" });
  });
}

function writingArea(name, text) {
  const area = words("textarea");
  area.value = text;
  area.maxLength = MOST_TEXT;
  area.rows = 4;
  area.spellcheck = true;
  area.setAttribute("aria-label", `your caption of ${name}`);
  return area;
}

function editorButtons(board) {
  const save = button("", "", "", () => saveEditor(board));
  save.append("Save ", make("kbd", "", "Ctrl+⏎"));
  const close = button("", "", "", () => leaveEditor(board, () => focusBack(board)));
  close.append("Close ", make("kbd", "", "Esc"));
  const buttons = make("div", "buttons");
  buttons.append(save, close);
  return buttons;
}

function saveEditor(board, after) {
  const { image, base, area, before } = board.editor;
  board.editor.after = after;
  if (area.value === before) {
    closeEditor(board);
    return;
  }
  board.editor.sent = true;
  area.readOnly = true; // until the kernel has it, the text stays where it was written
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

// Go on, but not past a text that is not saved.
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

// Keys

function shortcuts(board) {
  const here = (content) => () => act(board, board.at, content);
  const keys = {
    ArrowDown: () => go(board, board.at + 1, true),
    ArrowUp: () => go(board, board.at - 1, true),
    PageDown: () => turn(board, 1),
    PageUp: () => turn(board, -1),
    e: () => openEditor(board),
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
  return (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
}

function onKey(board, event) {
  if (savesNotebook(event)) return;
  event.stopPropagation();
  if (event.isComposing) return;
  if (board.question && event.target !== board.editor?.area) answer(board, event);
  else if (event.target === board.editor?.area) editorKey(board, event);
  else if (!event.ctrlKey && !event.metaKey && !event.altKey) {
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
  } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (!board.editor.sent) saveEditor(board);
  }
}

function toggleHelp(board, shown = board.help.hidden) {
  board.help.hidden = !shown;
  board.helper.setAttribute("aria-expanded", String(shown));
}

// The parts that stay

function toolbar(board) {
  const bar = make("div", "tools");
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", "what to do with the marked picture");
  const tool = (label, key, title, press) => {
    const made = button("", "", title, press);
    made.append(label + " ", make("kbd", "", key));
    bar.append(made);
    return made;
  };
  for (const [key, how, label, about] of MERGES) {
    tool(label, key, about, () => act(board, board.at, { kind: "merge", how }));
  }
  tool("Undo", "z", "take back what was done last", () => board.keys.z());
  board.helper = tool("Help", "?", "the keys", () => toggleHelp(board));
  board.helper.setAttribute("aria-expanded", "false");
  return bar;
}

function helpPanel() {
  const list = make("dl", "help");
  for (const [keys, about] of HELP) list.append(make("dt", "", keys), make("dd", "", about));
  const legend = make("dd", "chips");
  for (const name of Object.keys(OF)) legend.append(make("span", `chip ${name}`, OF[name]));
  list.append(make("dt", "", "colours"), legend);
  list.hidden = true;
  return list;
}

function pager(board) {
  const nav = make("span", "pages");
  board.before = button("", "‹", "the page before (Page ↑)", () => turn(board, -1));
  board.after = button("", "›", "the next page (Page ↓)", () => turn(board, 1));
  board.before.setAttribute("aria-label", "the page before");
  board.after.setAttribute("aria-label", "the next page");
  board.where = make("span");
  nav.append(board.before, board.where, board.after);
  return nav;
}

function build(model) {
  const board = { model, size: model.get("size"), page: -1, at: 0, rows: new Map(), editor: null };
  board.root = make("div", "imgopen-board");
  board.root.setAttribute("role", "application");
  board.root.setAttribute("aria-label", "caption board; press ? for its keys");
  board.count = make("span", "quiet");
  board.pages = pager(board);
  board.help = helpPanel();
  board.bar = make("div", "bar");
  board.bar.setAttribute("role", "alertdialog");
  board.bar.hidden = true;
  board.status = make("div", "status");
  board.status.setAttribute("role", "status");
  board.status.setAttribute("aria-live", "polite");
  board.list = make("div", "rows");
  board.keys = shortcuts(board);
  const top = make("div", "top");
  top.append(toolbar(board), board.pages, board.count);
  const notes = model.get("notes").map((note) => words("div", "quiet", note));
  board.root.append(top, ...notes, board.help, board.bar, board.status, board.list);
  return board;
}

function hear(board, content, buffers) {
  clearTimeout(board.waiting);
  if (board.status.textContent.startsWith("waiting")) say(board, "");
  if (content.kind === "rows") showRows(board, content);
  else if (content.kind === "row") showRow(board, content);
  else if (content.kind === "thumb") showPicture(board, content.image, buffers[0]);
  else if (content.kind === "ask") askedByKernel(board, content);
  else if (content.kind === "said") {
    say(board, content.text, content.trouble);
    if (content.trouble && board.editor?.sent) unlock(board.editor);
    if (content.image >= 0) go(board, content.image, board.root.contains(document.activeElement));
  }
}

function render({ model, el }) {
  const board = build(model);
  el.append(board.root);
  // The notebook's shortcuts ("d d" deletes a cell) stay away from the board, but Ctrl+S saves.
  // Lab listens at the document while keys rise, Notebook 7 while they sink, and it looks for the
  // attribute no higher than at the element that has the focus: so this is earlier, at the window.
  const guard = (event) => {
    if (board.root.contains(event.target)) {
      event.target.toggleAttribute("data-lm-suppress-shortcuts", !savesNotebook(event));
    }
  };
  const listen = (content, buffers) => hear(board, content, buffers);
  const count = () => showCount(board);
  board.root.addEventListener("keydown", (event) => onKey(board, event));
  window.addEventListener("keydown", guard, true);
  model.on("msg:custom", listen);
  model.on("change:written", count);
  board.wanted = { page: 0, at: 0, focus: false };
  send(board, { kind: "page", page: 0 });
  return () => {
    window.removeEventListener("keydown", guard, true);
    model.off("msg:custom", listen);
    model.off("change:written", count);
    clearTimeout(board.waiting);
    dropPictures(board);
  };
}

export default { render };
