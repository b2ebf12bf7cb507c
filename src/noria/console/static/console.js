// Small manners: forms that ask before they act, filters that apply at once, keys, times in the reader's own zone.

// Before anybody else hears of it.
document.addEventListener(
  "submit",
  (event) => {
    const question = event.submitter?.dataset.ask || event.target.dataset.ask;
    if (question && !window.confirm(question)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  },
  true
);

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

const chosen = (form) => form.querySelectorAll("input[name=chosen]:checked").length;
document.addEventListener("change", (event) => {
  const form = event.target.closest("form.choose");
  if (!form) return;
  const all = form.querySelector("[data-all]");
  const ticks = form.querySelectorAll("input[name=chosen]");
  if (event.target === all) for (const one of ticks) one.checked = all.checked;
  const count = chosen(form);
  all.checked = count > 0 && count === ticks.length;
  all.indeterminate = count > 0 && count < ticks.length;
  const label = form.querySelector("[data-chosen]");
  label.dataset.before ??= label.textContent;
  label.textContent = count ? label.dataset.chosen.replace("#", count) : label.dataset.before;
});

const pages = { o: "/", p: "/plans", r: "/records", f: "/failures", u: "/runs", b: "/reconciliation", c: "/connections", a: "/alerts" };
let going = false;
document.addEventListener("keydown", (event) => {
  // Not behind a dialog, and again as soon as it is closed, wherever the focus is.
  if (document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), select, textarea")) return;
  if (going) {
    going = false;
    if (pages[event.key]) window.location.assign(pages[event.key]);
  } else if (event.key === "g") {
    going = true;
  } else if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  } else if (event.key === "?") {
    document.getElementById("keys")?.showModal();
  } else if (event.key === "r") {
    document.querySelector("[data-key=r]")?.click();
  } else if (event.key === "x") {
    const row = document.activeElement?.closest("tr") || document.querySelector("form.choose tbody tr");
    row?.querySelector("input[name=chosen]")?.click();
  } else if (event.key === "j" || event.key === "k") {
    const links = [...document.querySelectorAll("table.rows tbody tr")].map((row) => row.querySelector("a"));
    const at = links.indexOf(document.activeElement);
    const next = links[at + (event.key === "j" ? 1 : -1)] || links[0];
    if (next) next.focus();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys]")) document.getElementById("keys").showModal();
});

const local = (root) => {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) time.title = at.toLocaleString(document.documentElement.lang);
  }
};
document.addEventListener("DOMContentLoaded", () => local(document));
document.addEventListener("htmx:afterSwap", () => local(document));
