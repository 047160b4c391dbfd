// Sets the theme before the first paint, so that no page flashes in the wrong colours. `data-theme` on
// <html> is the user's setting (auto, light or dark); Tabler reads the resulting `data-bs-theme`.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const setting = root.dataset.theme;
    root.dataset.bsTheme = setting === "light" || setting === "dark" ? setting : dark.matches ? "dark" : "light";
  };
  dark.addEventListener("change", apply);
  apply();
  root.dataset.js = ""; // shows the elements that need scripts
})();
