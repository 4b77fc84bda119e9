import { ahead, behind, noText } from "../../../entry-bytes.ts";
import { quoteBody } from "../../connection/names.ts";

/** `entry_text` returns the text of an entry that is stored as bytes. */
export function entryText(schema: string): string {
  return `
create function ${schema}.entry_text(_data text, _bytes bytea) returns text language sql immutable parallel safe
as ${quoteBody(`select case when _bytes is null then _data
  else '${ahead}' || translate(encode(_bytes, 'base64'), E'\\n', '') || '${behind}' end`)};`;
}

/**
 * `text_bytes` returns the bytes in the text of an entry of an archive; null for a text that is stored as it is. The functions
 * that commit call it for entries of archives alone.
 */
export function textBytes(schema: string): string {
  return `
create function ${schema}.text_bytes(_data text) returns bytea language plpgsql immutable
as ${quoteBody(`
declare
  _bytes bytea;
begin
  if not starts_with(_data, '${ahead}') then return null; end if;
  _bytes := decode(substr(_data, ${ahead.length + 1}, length(_data) - ${ahead.length + behind.length}), 'base64');
  return case when ${schema}.entry_text(null, _bytes) = _data then _bytes end;
exception when data_exception then
  return null; -- no bytes after all
end`)};`;
}

/** The text in the row of an entry with these bytes. */
export function storedText(data: string, bytes: string): string {
  return `case when ${bytes} is null then ${data} else '${noText}' end`;
}
