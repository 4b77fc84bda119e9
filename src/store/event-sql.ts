/** The fields of an event that follow from its type, as SQL of the views of both engines. */
import { eventKinds, storedEventType, type EventKind, type EventType } from "../domain/record/event.ts";

const kinds = Object.entries(eventKinds) as readonly (readonly [EventType, EventKind])[];

/** The name of the type, from the stored spelling. */
export function eventTypeSql(stored: string): string {
  const renamed = kinds.flatMap(([type]) =>
    storedEventType(type) === type ? [] : [`when '${storedEventType(type)}' then '${type}'`],
  );
  return `case ${stored} ${renamed.join(" ")} else ${stored} end`;
}

/** The category, the severity or the status, from the stored spelling of the type; `otherwise` for an unknown type. */
export function eventKindSql(field: keyof EventKind, stored: string, otherwise = "null"): string {
  const values = [...new Set(kinds.map(([, kind]) => kind[field]))];
  const cases = values.map((value) => {
    const types = kinds.filter(([, kind]) => kind[field] === value).map(([type]) => `'${storedEventType(type)}'`);
    return `when ${stored} in (${types.join(", ")}) then '${value}'`;
  });
  return `case ${cases.join("\n    ")} else ${otherwise} end`;
}
