// Runs before the first paint: says that scripts run, and puts the chosen theme on <html>.
// The choice is "light", "dark" or, when nothing is stored, the system's own.
(() => {
  const root = document.documentElement;
  const KEY = "theme";

  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is switched off: the system's theme it is
    }
  };
  const apply = (choice) => {
    if (choice === "light" || choice === "dark") root.dataset.theme = choice;
    else delete root.dataset.theme;
  };

  root.classList.remove("no-js");
  apply(stored());

  const mark = () => {
    const choice = stored() ?? "system";
    for (const button of document.querySelectorAll("[data-theme-choice]"))
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
  };
  document.addEventListener("DOMContentLoaded", mark);
  window.addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    apply(event.newValue);
    mark();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-choice]");
    if (!button) return;
    const choice = button.dataset.themeChoice;
    try {
      if (choice === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, choice);
    } catch {
      // The choice then lasts for this page only.
    }
    apply(choice);
    mark();
  });
})();
