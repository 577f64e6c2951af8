// What the page does besides being read: theme, contents on a phone, copy buttons, where-am-I. Nothing here is needed to read.
"use strict";
(() => {
  const root = document.documentElement, $ = (s, at = document) => at.querySelector(s);

  $("#theme").addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch {}
  });

  const menu = $("#menu");
  const open = (yes) => { menu.setAttribute("aria-expanded", yes); root.classList.toggle("menu-open", yes); };
  menu.addEventListener("click", () => open(menu.getAttribute("aria-expanded") !== "true"));
  $("#chapters").addEventListener("click", (e) => { if (e.target.closest("a")) open(false); });

  const run = $("details.run");
  addEventListener("click", (e) => { if (run && !run.contains(e.target)) run.open = false; });
  addEventListener("keydown", (e) => {
    if (e.key === "Escape") { open(false); if (run) run.open = false; }
    if (e.key === "/" && !e.target.closest("input, textarea, select, [contenteditable]")) {
      e.preventDefault(); $("form.search input").focus();
    }
  });

  if (navigator.clipboard) for (const code of document.querySelectorAll("div.highlight > pre")) {
    if (code.closest(".cell_output, .viewcode-block")) continue;
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "copy", textContent: "Copy" });
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.innerText.trimEnd());
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    code.parentElement.append(button);
  }

  // The section being read is marked in the contents.
  const entries = new Map([...document.querySelectorAll("#chapters li.current li > a[href^='#']")].map((a) => [a.hash.slice(1), a]));
  const heads = [...document.querySelectorAll("article section[id]")].filter((s) => entries.has(s.id));
  if (heads.length) {
    const mark = () => {
      const here = heads.filter((s) => s.getBoundingClientRect().top < innerHeight * 0.35).pop();
      for (const [id, a] of entries) a.classList.toggle("here", !!here && id === here.id);
    };
    addEventListener("scroll", mark, { passive: true });
    mark();
  }
})();
