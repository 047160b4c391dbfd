// Runs before anything is drawn, so that no page flashes in the wrong colours. `data-theme` on <html>
// is what the person chose (auto, light or dark); Tabler reads the outcome from `data-bs-theme`.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const chosen = root.dataset.theme;
    root.dataset.bsTheme = chosen === "light" || chosen === "dark" ? chosen : dark.matches ? "dark" : "light";
  };
  dark.addEventListener("change", apply);
  apply();
  root.dataset.js = ""; // shows what only works with scripts
})();
