import type { Stats, StatsDay, StatsGroup } from "../../admin.ts";
import { noSums } from "../../store/stats.ts";

/** A day with the sums of its turns and the counts of its sessions. */
export interface DayLine extends Omit<StatsGroup, "key">, StatsDay {}

/** The days with turns or session changes, the latest first. */
export function daysOf({ days, groups }: Stats): readonly DayLine[] {
  const turns = new Map((groups.day ?? []).map(({ key, ...sums }) => [key ?? "", sums]));
  const sessions = new Map(days.map(({ day, ...counts }) => [day, counts]));
  const known = [...new Set([...turns.keys(), ...sessions.keys()])].toSorted().toReversed();
  return known.map((day) => ({
    day,
    ...(turns.get(day) ?? noSums()),
    ...(sessions.get(day) ?? { created: 0, ended: 0, expired: 0 }),
  }));
}
