import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const storageName = "perdure-studio-theme";
const stored = localStorage.getItem(storageName);

export const theme = signal<Theme>(stored === "light" || stored === "dark" ? stored : "system");

effect(() => {
  localStorage.setItem(storageName, theme.value);
  if (theme.value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
});

export function isDark(): boolean {
  if (theme.value !== "system") return theme.value === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

export function switchTheme(): void {
  theme.value = isDark() ? "light" : "dark";
}
