/** Stats as one HTML file with plots, which loads nothing. */
import type { Stats } from "../../admin.ts";
import { printable } from "../../domain/values/format-value.ts";
import { standalonePage } from "../../pages/standalone-page.ts";

/** The report; undefined in a checkout whose pages are not built. A folder is for tests. */
export function statsReport(stats: Stats, folder?: string): string | undefined {
  const { tenant, groups } = stats;
  const shown = {
    ...stats,
    tenant: printable(tenant),
    groups: Object.fromEntries(
      Object.entries(groups).map(([kind, all]) => [
        kind,
        all.map(({ key, ...sums }) => ({ key: key === null ? null : printable(key), ...sums })),
      ]),
    ),
  };
  const content = {
    name: "report",
    title: `Perdure: ${shown.tenant}`,
    data: shown,
    withoutScripts: "This report draws its plots with a script. perdure stats prints the same numbers.",
  } as const;
  return standalonePage(content, folder)?.html;
}
