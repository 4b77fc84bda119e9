import { computed, effect, signal, type ReadonlySignal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const storageName = "perdure-studio-theme";

export const theme = signal<Theme>(stored());

const system = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(system.matches);
system.addEventListener("change", () => (systemIsDark.value = system.matches));

/** Whether the page is dark now: by the choice of its reader, or by the system's. */
export const isDark: ReadonlySignal<boolean> = computed(() =>
  theme.value === "system" ? systemIsDark.value : theme.value === "dark",
);

effect(() => {
  if (theme.value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
});

export function switchTheme(): void {
  theme.value = isDark.value ? "light" : "dark";
  try {
    localStorage.setItem(storageName, theme.value);
  } catch {
    // A browser may give a file no storage: the choice holds until the page is closed.
  }
}

function stored(): Theme {
  try {
    const found = localStorage.getItem(storageName);
    return found === "light" || found === "dark" ? found : "system";
  } catch {
    return "system";
  }
}
