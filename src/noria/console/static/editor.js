// The editor: what is written is kept by the server's answers; here are suggestions, keys, and a word before it is left.

// An answer must not close what is open, nor change what is being typed or was put in since it was asked for.
const touched = new Set();
for (const kind of ["input", "change"]) document.addEventListener(kind, (event) => touched.add(event.target));
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.matches("form.editor")) touched.clear();
});
// While rows may move under what is typed, nothing can be typed; and a button that was pressed is pressed once.
const sheet = document.getElementById("editor");
let pressed = "";
document.addEventListener("htmx:beforeSend", (event) => {
  pressed = event.detail.requestConfig.formData.get("do") || "";
  if (pressed && pressed !== "sample") {
    pressed = document.activeElement.id || pressed;
    sheet.inert = true;
  }
});
document.addEventListener("htmx:afterRequest", () => {
  if (sheet.inert) {
    sheet.inert = false;
    document.getElementById(pressed)?.focus();
  }
  pressed = "";
});
document.addEventListener(
  "submit",
  (event) => {
    if (pressed && event.submitter?.name === "do") {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  },
  true
);
// A secret that was typed is not in the answer.
Idiomorph.defaults.callbacks.beforeNodeMorphed = (node) => !touched.has(node) && !(node.dataset && "keep" in node.dataset);
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");

// A button acts when it is pressed, not whenever something is sent while it has the focus.
document.addEventListener("htmx:configRequest", (event) => {
  if (!event.detail.elt.matches("form.editor")) return;
  const button = event.detail.triggeringEvent?.submitter;
  event.detail.formData.delete("do");
  if (button?.name === "do") event.detail.formData.set("do", button.value);
});

const editor = document.querySelector("form.editor");
let unsaved = false;
editor.addEventListener("input", () => (unsaved = true));
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
// What can't be answered leaves the form as it is, and is said above it.
const trouble = document.getElementById("trouble");
document.addEventListener("htmx:beforeOnLoad", (event) => {
  const answer = event.detail.xhr;
  if (answer.getResponseHeader("HX-Redirect")) unsaved = false;
  trouble.hidden = answer.status < 400;
  trouble.textContent = answer.status < 400 ? "" : answer.responseText || answer.status;
});
document.addEventListener("htmx:sendError", () => {
  trouble.hidden = false;
  trouble.textContent = trouble.dataset.gone;
});
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "s") {
    event.preventDefault();
    editor.requestSubmit(editor.querySelector("button[value=save]"));
  }
});

// A problem leads to the field that it belongs to, or to the nearest around it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-field]");
  if (!link) return;
  event.preventDefault();
  let where = link.dataset.field;
  let field = null;
  while (!(field = document.getElementById("f" + where) || document.getElementById("f" + where + "/field")) && where) {
    where = where.slice(0, where.lastIndexOf("/"));
  }
  field = field || document.getElementById("text");
  for (let around = field.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
  field.focus();
});

// Suggestions: for a whole field, or for the word before the caret of an expression.
const popup = document.createElement("ul");
popup.id = "suggestions";
popup.setAttribute("role", "listbox");
popup.hidden = true;
document.body.append(popup);
let field = null;
let word = "";
let chosen = -1;

const options = (name) =>
  [...(document.getElementById("list-" + name)?.options || [])].map((one) => [one.value, one.label === one.value ? "" : one.label]);

const expected = (input) => {
  const before = input.value.slice(0, input.selectionStart);
  const inside = before.match(/\{\{([^{}]*)$/);
  if (inside) {
    word = inside[1];
    if (word.includes("|")) {
      word = word.slice(word.indexOf("|") + 1);
      return options("formats").map(([value, remark]) => [value, remark, value + "}}"]);
    }
    return [...options("fields"), ...options("macros")].map(([value, remark]) => [value, remark, value + "}}"]);
  }
  const from = before.match(/\bfrom\s+(\S*)$/);
  if (from && before.includes("_findCollection")) {
    word = from[1];
    return options("plans").map(([value, remark]) => [value, remark, value + " where "]);
  }
  word = before.match(/[\w.]*$/)[0];
  if (before.startsWith("_function ")) {
    if (!word) return [];
    return options("functions").map(([value, remark]) => [value, remark, value.slice(0, value.indexOf("(") + 1)]);
  }
  if (before !== word) return [];
  return [
    ...options("fields").map(([value, remark]) => ["{{" + value + "}}", remark, "{{" + value + "}}"]),
    ...options("macros").map(([value, remark]) => ["{{" + value + "}}", remark, "{{" + value + "}}"]),
    ["_function ", "", "_function "],
    ["_findCollection find … from … where …", "", "_findCollection find "],
  ];
};

const close = () => {
  popup.hidden = true;
  chosen = -1;
  if (field) field.removeAttribute("aria-activedescendant");
};

const choose = (number) => {
  chosen = number;
  [...popup.children].forEach((one, place) => one.setAttribute("aria-selected", String(place === chosen)));
  const one = popup.children[chosen];
  if (one) {
    one.scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", one.id);
  }
};

const suggest = (input) => {
  field = input;
  const expression = input.dataset.suggest === "expression";
  let found;
  if (expression) found = expected(input);
  else {
    word = input.value;
    found = options(input.dataset.suggest).map(([value, remark]) => [value, remark, value]);
  }
  const low = word.toLowerCase();
  found = found.filter(([value, remark]) => (value + " " + remark).toLowerCase().includes(low) && value !== input.value).slice(0, 60);
  popup.replaceChildren(
    ...found.map(([value, remark, put], place) => {
      const one = document.createElement("li");
      one.id = "suggestion-" + place;
      one.setAttribute("role", "option");
      one.dataset.put = put;
      const name = document.createElement("code");
      name.textContent = value;
      const said = document.createElement("span");
      said.textContent = remark;
      one.append(name, said);
      return one;
    })
  );
  if (!found.length) return close();
  const box = input.getBoundingClientRect();
  popup.style.left = window.scrollX + box.left + "px";
  popup.style.top = window.scrollY + box.bottom + 2 + "px";
  popup.style.minWidth = box.width + "px";
  popup.hidden = false;
  input.setAttribute("aria-controls", popup.id);
  choose(-1);
};

const put = (one) => {
  const text = one.dataset.put;
  if (field.dataset.suggest === "expression") {
    const caret = field.selectionStart;
    const rest = field.value.slice(caret).replace(text.endsWith("}}") ? /^[^{}]*\}\}/ : /^$/, "");
    const before = field.value.slice(0, caret - word.length) + text;
    field.value = before + rest;
    field.setSelectionRange(before.length, before.length);
  } else {
    field.value = text;
  }
  close();
  field.dispatchEvent(new Event("input", { bubbles: true }));
};

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-suggest]") && event.isTrusted) suggest(event.target);
});
// What is suggested may depend on what was put in before, which the server has only now heard of.
let typing = null;
document.addEventListener("input", (event) => (typing = event.isTrusted ? event.target : null));
document.addEventListener("htmx:afterSettle", () => {
  if (popup.hidden && typing && typing === document.activeElement && typing.matches("[data-suggest]")) suggest(typing);
});
document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-suggest]") && !event.target.value) suggest(event.target);
  else if (!popup.contains(event.target)) close();
});
document.addEventListener("click", (event) => {
  if (event.target.matches("[data-suggest]")) suggest(event.target);
});
document.addEventListener("keydown", (event) => {
  if (!event.target.matches?.("[data-suggest]")) return;
  if (popup.hidden) {
    if (event.key === "ArrowDown") suggest(event.target);
    return;
  }
  const last = popup.children.length - 1;
  if (event.key === "ArrowDown") choose(chosen < last ? chosen + 1 : 0);
  else if (event.key === "ArrowUp") choose(chosen > 0 ? chosen - 1 : last);
  else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) put(popup.children[chosen]);
  else if (event.key === "Escape") {
    typing = null;
    close();
  }
  else return;
  if (event.key !== "Tab") event.preventDefault();
});
popup.addEventListener("mousedown", (event) => {
  event.preventDefault();
  const one = event.target.closest("li");
  if (one) put(one);
});
