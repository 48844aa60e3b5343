// The button that changes between the automatic, the light and the dark theme.
const root = document.documentElement;
const themes = ["automatic", "light", "dark"];
const button = document.getElementById("theme");
const stored = localStorage.getItem("report-theme");
let theme = themes.includes(stored) ? stored : "automatic";

function apply() {
  if (theme === "automatic") delete root.dataset.theme;
  else root.dataset.theme = theme;
  button.textContent = `Theme: ${theme}`;
}

apply();
button.hidden = false;
button.addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  localStorage.setItem("report-theme", theme);
  apply();
});
