// What pages gain when scripts run. Every page works without this file; nothing here decides anything.
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);

  // ---- copying -------------------------------------------------------------------------------

  const copy = async (button) => {
    const source = one("code", button.closest(".dw-copy, .dw-commandline"));
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Without https there is no clipboard: select the text and let the browser copy the selection.
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
      getSelection().removeAllRanges();
    }
    const label = button.getAttribute("aria-label");
    button.setAttribute("aria-label", "Copied");
    button.dataset.copied = "";
    setTimeout(() => {
      button.setAttribute("aria-label", label);
      delete button.dataset.copied;
    }, 1500);
  };

  // ---- menus: <details> that close as a menu should -------------------------------------------

  const closeMenus = (except) => {
    for (const menu of all("details.dw-menu[open]")) if (!menu.contains(except)) menu.open = false;
  };

  document.addEventListener("click", (event) => {
    closeMenus(event.target);
    const target = event.target.closest("[data-copy], [data-opens], .dw-menu a");
    if (!target) return;
    if (target.matches("[data-copy]")) copy(target);
    else if (target.matches("[data-opens]")) document.getElementById(target.dataset.opens).showModal();
    else target.closest(".dw-menu").open = false;
  });

  // ---- choosing rows ----------------------------------------------------------------------------

  const countSelected = () => {
    const boxes = all("[data-row] input[type=checkbox]");
    const chosen = boxes.filter((box) => box.checked).length;
    const every = one("[data-select-all]");
    const label = one("[data-selected-count]");
    if (every) every.checked = chosen > 0 && chosen === boxes.length;
    if (every) every.indeterminate = chosen > 0 && chosen < boxes.length;
    if (label) label.textContent = `${chosen} selected`;
  };

  document.addEventListener("change", ({ target }) => {
    if (target.matches("[data-select-all]"))
      for (const box of all("[data-row] input[type=checkbox]")) box.checked = target.checked;
    if (target.matches("[data-select-all], [data-row] input")) countSelected();
  });

  // ---- keys -------------------------------------------------------------------------------------

  const keySwitch = one("[data-keys-switch]");
  if (keySwitch) {
    keySwitch.checked = localStorage.getItem("keys") !== "off";
    keySwitch.addEventListener("change", () => localStorage.setItem("keys", keySwitch.checked ? "on" : "off"));
  }

  const currentRow = () => document.activeElement?.closest("[data-row]");
  const move = (step) => {
    const rows = all("[data-row]");
    const at = rows.indexOf(currentRow());
    const next = rows[at === -1 ? 0 : Math.min(Math.max(at + step, 0), rows.length - 1)];
    if (next) one("[data-row-link]", next).focus();
  };
  const select = (row) => {
    const box = row && one("input[type=checkbox]", row);
    if (!box) return;
    box.checked = !box.checked;
    countSelected();
  };
  const KEYS = {
    "/": () => one("input[type=search]")?.focus(),
    j: () => move(1),
    k: () => move(-1),
    x: () => select(currentRow()),
    e: () => {
      if (one("[data-row]") && !one("[data-row] input:checked")) select(currentRow());
      if (!one("[data-row]") || one("[data-row] input:checked")) one('[data-key="e"]')?.click();
    },
    "?": () => one("#keyboard")?.showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const open = one("details.dw-menu[open]:focus-within");
      closeMenus();
      if (open) one("summary", open).focus();
    }
    const typing = event.target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat && event.key === "e") return;
    const action = KEYS[event.key];
    if (!action || (event.key !== "?" && keySwitch && !keySwitch.checked)) return;
    event.preventDefault();
    action();
  });

  // ---- times stay true while a page is open ------------------------------------------------------

  // The same words as `distance` in app/web/rendering.py, so that nothing jumps when a page is drawn again.
  const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];
  const inWords = (seconds) => {
    const size = Math.abs(seconds);
    if (size < 45) return seconds >= 0 ? "just now" : "in a moment";
    const [unit, length] = UNITS.find(([, length]) => size >= length * 0.95) ?? ["min", 60];
    const amount = `${Math.max(1, Math.round(size / length))} ${unit}`;
    return seconds >= 0 ? `${amount} ago` : `in ${amount}`;
  };
  const refreshTimes = () => {
    if (document.hidden) return;
    for (const time of all("time[data-ago]")) {
      const text = inWords((Date.now() - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(refreshTimes, 10_000);
  document.addEventListener("visibilitychange", refreshTimes);

  // ---- what htmx tells us -------------------------------------------------------------------------

  const showLive = (text) => {
    for (const dot of all("[data-live]")) {
      dot.textContent = text;
      dot.dataset.live = text === "Live" ? "on" : "off";
    }
  };
  let connected = false;
  const nowLive = (state) => {
    connected = state;
    showLive(connected ? "Live" : "Reconnecting…");
  };
  document.addEventListener("htmx:sse:after:connection", () => nowLive(true));
  document.addEventListener("htmx:sse:before:connection", ({ detail }) => {
    if (detail.connection.attempt > 0) nowLive(false);
  });
  document.addEventListener("htmx:sse:error", () => nowLive(false));
  document.addEventListener("htmx:sse:close", () => showLive("Not live"));

  // A refusal that is not a block of ours to show in place becomes one sentence in the notice area, and
  // what was typed stays on the page.
  const tell = (text, href, label) => {
    const box = document.createElement("div");
    box.className = "dw-notice dw-notice-problem";
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    if (href) {
      const link = document.createElement("a");
      link.href = href;
      link.textContent = label;
      paragraph.append(" ", link);
    }
    box.append(paragraph);
    one("#notice")?.replaceChildren(box);
    one("#notice")?.scrollIntoView({ block: "nearest" });
  };
  // The sentence of an error page; nothing for a block that brings its own words.
  const errorText = (html) =>
    one("[data-error-text]", new DOMParser().parseFromString(html, "text/html"))?.textContent.trim();

  document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
    if (ctx.sourceElement === document.body) return showLive("Not live");
    const { status } = ctx.response;
    if (status === 401) {
      const login = ctx.hx.redirect ?? "/login";
      delete ctx.hx.redirect;
      return tell("You are signed out, so nothing was changed.", login, "Sign in again");
    }
    const text = errorText(ctx.text);
    if (!text && [400, 409, 422].includes(status)) return;
    ctx.swap = "none";
    tell(text || `The server answered ${status}.`);
  });
  document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
    if (!ctx || ctx.sourceElement === document.body) return;
    const lost = ctx.request.method === "GET" ? "What you see may be old." : "Nothing was changed.";
    tell(`Deckwatch could not be reached. ${lost}`);
  });

  // What was said about the last action is over when the next one begins.
  document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
    if (ctx.request.method !== "GET") one("#notice")?.replaceChildren();
  });

  // Empty filters stay out of the address, so that it can be read and shared.
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    if (ctx.request.method !== "GET" || !ctx.request.body) return;
    for (const [name, value] of [...ctx.request.body]) if (value === "") ctx.request.body.delete(name);
  });

  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    countSelected();
    refreshTimes();
    if (connected) showLive("Live");
    const sent = ctx.sourceElement?.closest?.("form[data-clear]");
    if (sent && ctx.response?.status < 300) for (const box of all("textarea", sent)) box.value = box.defaultValue;
  });

  countSelected();
})();
