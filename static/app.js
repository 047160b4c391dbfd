// Enhancements of pages: copy buttons, menus, row selection, keyboard shortcuts, relative times, live state
// and error notices. Pages work without this file.
"use strict";
(() => {
  const queryAll = (selector, within = document) => [...within.querySelectorAll(selector)];
  const query = (selector, within = document) => within.querySelector(selector);

  // ---- copy buttons ----------------------------------------------------------------------------

  const copyText = async (button) => {
    const source = query("code", button.closest(".dw-copy, .dw-command-line"));
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Without HTTPS, browsers provide no Clipboard API: select the text and use the copy command instead.
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

  // ---- menus: <details> elements that close on Escape and on clicks outside ---------------------

  const closeMenus = (except) => {
    for (const menu of queryAll("details.dw-menu[open]")) if (!menu.contains(except)) menu.open = false;
  };

  document.addEventListener("click", (event) => {
    closeMenus(event.target);
    const target = event.target.closest("[data-copy], [data-opens-dialog], .dw-menu a");
    if (!target) return;
    if (target.matches("[data-copy]")) copyText(target);
    else if (target.matches("[data-opens-dialog]")) document.getElementById(target.dataset.opensDialog).showModal();
    else target.closest(".dw-menu").open = false;
  });

  // ---- row selection ----------------------------------------------------------------------------

  const updateSelection = () => {
    const boxes = queryAll("[data-row] input[type=checkbox]");
    const selected = boxes.filter((box) => box.checked).length;
    const selectAll = query("[data-select-all]");
    const label = query("[data-selected-count]");
    if (selectAll) selectAll.checked = selected > 0 && selected === boxes.length;
    if (selectAll) selectAll.indeterminate = selected > 0 && selected < boxes.length;
    if (label) label.textContent = `${selected} selected`;
  };

  document.addEventListener("change", ({ target }) => {
    if (target.matches("[data-select-all]"))
      for (const box of queryAll("[data-row] input[type=checkbox]")) box.checked = target.checked;
    if (target.matches("[data-select-all], [data-row] input")) updateSelection();
  });

  // ---- keyboard shortcuts -----------------------------------------------------------------------

  const shortcutsToggle = query("[data-shortcuts-toggle]");
  if (shortcutsToggle) {
    shortcutsToggle.checked = localStorage.getItem("keys") !== "off";
    shortcutsToggle.addEventListener("change", () => localStorage.setItem("keys", shortcutsToggle.checked ? "on" : "off"));
  }

  const currentRow = () => document.activeElement?.closest("[data-row]");
  const focusRow = (step) => {
    const rows = queryAll("[data-row]");
    const index = rows.indexOf(currentRow());
    const next = rows[index === -1 ? 0 : Math.min(Math.max(index + step, 0), rows.length - 1)];
    if (next) query("[data-row-link]", next).focus();
  };
  const toggleRow = (row) => {
    const box = row && query("input[type=checkbox]", row);
    if (!box) return;
    box.checked = !box.checked;
    updateSelection();
  };
  const SHORTCUTS = {
    "/": () => query("input[type=search]")?.focus(),
    j: () => focusRow(1),
    k: () => focusRow(-1),
    x: () => toggleRow(currentRow()),
    e: () => {
      if (query("[data-row]") && !query("[data-row] input:checked")) toggleRow(currentRow());
      if (!query("[data-row]") || query("[data-row] input:checked")) query('[data-shortcut="e"]')?.click();
    },
    "?": () => query("#shortcuts")?.showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const open = query("details.dw-menu[open]:focus-within");
      closeMenus();
      if (open) query("summary", open).focus();
    }
    const typing = event.target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat && event.key === "e") return;
    const action = SHORTCUTS[event.key];
    if (!action || (event.key !== "?" && shortcutsToggle && !shortcutsToggle.checked)) return;
    event.preventDefault();
    action();
  });

  // ---- relative times ---------------------------------------------------------------------------

  // The format is the same as in `format_relative_time` in app/web/rendering.py. Otherwise a reload would
  // change the displayed times.
  const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];
  const formatRelativeTime = (seconds) => {
    const size = Math.abs(seconds);
    if (size < 45) return seconds >= 0 ? "just now" : "in a moment";
    const [unit, length] = UNITS.find(([, length]) => size >= length * 0.95) ?? ["min", 60];
    const amount = `${Math.max(1, Math.round(size / length))} ${unit}`;
    return seconds >= 0 ? `${amount} ago` : `in ${amount}`;
  };
  const updateRelativeTimes = () => {
    if (document.hidden) return;
    for (const time of queryAll("time[data-relative-time]")) {
      const text = formatRelativeTime((Date.now() - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(updateRelativeTimes, 10_000);
  document.addEventListener("visibilitychange", updateRelativeTimes);

  // ---- htmx events ------------------------------------------------------------------------------

  const setLiveText = (text) => {
    for (const indicator of queryAll("[data-live]")) {
      indicator.textContent = text;
      indicator.dataset.live = text === "Live" ? "on" : "off";
    }
  };
  let connected = false;
  const setConnected = (state) => {
    connected = state;
    setLiveText(connected ? "Live" : "Reconnecting…");
  };
  document.addEventListener("htmx:sse:after:connection", () => setConnected(true));
  document.addEventListener("htmx:sse:before:connection", ({ detail }) => {
    if (detail.connection.attempt > 0) setConnected(false);
  });
  document.addEventListener("htmx:sse:error", () => setConnected(false));
  document.addEventListener("htmx:sse:close", () => setLiveText("Not live"));

  // Show an error as a notice, unless the error response is a block of the page. The page and the user's
  // input stay unchanged.
  const showError = (text, href, label) => {
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
    query("#notice")?.replaceChildren(box);
    query("#notice")?.scrollIntoView({ block: "nearest" });
  };
  // Returns the message of an error page, or undefined for a block of a page, which shows its own errors.
  const errorText = (html) =>
    query("[data-error-text]", new DOMParser().parseFromString(html, "text/html"))?.textContent.trim();

  document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
    if (ctx.sourceElement === document.body) return setLiveText("Not live");
    const { status } = ctx.response;
    if (status === 401) {
      const login = ctx.hx.redirect ?? "/login";
      delete ctx.hx.redirect;
      return showError("You are signed out. Nothing was changed.", login, "Sign in again");
    }
    const text = errorText(ctx.text);
    if (!text && [400, 409, 422].includes(status)) return;
    ctx.swap = "none";
    showError(text || `The request failed with status ${status}.`);
  });
  document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
    if (!ctx || ctx.sourceElement === document.body) return;
    const effect = ctx.request.method === "GET" ? "This page may be out of date." : "Your change may not have been saved.";
    showError(`Deckwatch cannot be reached. ${effect}`);
  });

  // The next change clears the notice about the previous one.
  document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
    if (ctx.request.method !== "GET") query("#notice")?.replaceChildren();
  });

  // Leave empty filters out of the URL, so that it stays short and can be shared.
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    if (ctx.request.method !== "GET" || !ctx.request.body) return;
    for (const [name, value] of [...ctx.request.body]) if (value === "") ctx.request.body.delete(name);
  });

  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    updateSelection();
    updateRelativeTimes();
    if (connected) setLiveText("Live");
    const form = ctx.sourceElement?.closest?.("form[data-clear-on-success]");
    if (form && ctx.response?.status < 300) for (const box of queryAll("textarea", form)) box.value = box.defaultValue;
  });

  updateSelection();
})();
