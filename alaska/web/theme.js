// Sets the chosen colours before the page is drawn; without a choice, they are those of the system.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("alaska.theme");
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
