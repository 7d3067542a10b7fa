// Light, dark, or as the system: remembered in this browser. Loaded before the page is painted,
// so that it never flashes in the other one.
(() => {
  const WORDS = { auto: "as the system", light: "light", dark: "dark" };
  const NEXT = { auto: "light", light: "dark", dark: "auto" };
  const ICONS = { auto: "theme", light: "light", dark: "dark" };

  const read = () => {
    try {
      return localStorage.getItem("theme") in WORDS ? localStorage.getItem("theme") : "auto";
    } catch {
      return "auto"; // storage may be forbidden; the system's choice still holds
    }
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = (theme) => {
    const root = document.documentElement;
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    // What the style sheet of the API's documentation goes by.
    root.classList.toggle("dark-mode", theme === "dark" || (theme === "auto" && system.matches));
  };
  const show = (button, theme) => {
    button.querySelector("[data-theme-word]").textContent = `Colours: ${WORDS[theme]}`;
    button.title = `Colours: ${WORDS[theme]}`;
    const use = button.querySelector("use");
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${ICONS[theme]}`));
  };

  let theme = read();
  apply(theme);
  system.addEventListener("change", () => apply(theme));
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("[data-theme-toggle]");
    show(button, theme);
    // Drawn ahead or in another tab while the colours were chosen elsewhere.
    document.addEventListener("visibilitychange", () => {
      theme = read();
      apply(theme);
      show(button, theme);
    });
    button.hidden = false;
    button.addEventListener("click", () => {
      theme = NEXT[theme];
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // it holds for this page, then
      }
      apply(theme);
      show(button, theme);
    });
  });
})();
