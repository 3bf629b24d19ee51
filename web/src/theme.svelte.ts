/** Light, dark or as the system says; `public/theme.js` applies the choice before the first paint. */

export const themes = ["auto", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

const key = "fotograma.theme";

class ThemeChoice {
  current = $state<Theme>((document.documentElement.dataset.theme as Theme | undefined) ?? "auto");

  set(theme: Theme) {
    this.current = theme;
    if (theme === "auto") {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem(key);
    } else {
      document.documentElement.dataset.theme = theme;
      localStorage.setItem(key, theme);
    }
  }
}

export const theme = new ThemeChoice();
