/** The fields of an event that follow from its type, as SQL of the views of both engines. */
import { eventKinds, storedEventType, type EventKind, type OwnEventType } from "../domain/record/event.ts";

const kinds = Object.entries(eventKinds) as readonly (readonly [OwnEventType, EventKind])[];

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
  // The severity of an event of an application is stored with it.
  const ofApp = { category: "app", severity: undefined, status: "ok" }[field];
  if (ofApp !== undefined) cases.push(`when ${stored} like 'app.%' then '${ofApp}'`);
  return `case ${cases.join("\n    ")} else ${otherwise} end`;
}

/** The value for events that an application records; null for others. */
export function ofApplication(value: string): string {
  return `case when type like 'app.%' then '${value}' end`;
}
