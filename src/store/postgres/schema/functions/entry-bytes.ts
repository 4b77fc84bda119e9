import { ahead, behind, noText } from "../../../entry-bytes.ts";
import { quoteBody } from "../../connection/names.ts";

/**
 * A trigger stores the entries of archives as bytes, and `entry_text` returns their text. The functions that commit do not
 * depend on it; for an entry of another log the server only compares the name of the log.
 */
export function entryBytes(schema: string): string {
  return `
create function ${schema}.entry_text(_data text, _bytes bytea) returns text language sql immutable parallel safe
as ${quoteBody(`select case when _bytes is null then _data
  else '${ahead}' || translate(encode(_bytes, 'base64'), E'\\n', '') || '${behind}' end`)};
create function ${schema}.keep_bytes() returns trigger language plpgsql
as ${quoteBody(`
begin
  begin
    new.bytes := decode(substr(new.data, ${ahead.length + 1}, length(new.data) - ${ahead.length + behind.length}), 'base64');
  exception when data_exception then
    new.bytes := null; -- no bytes after all
  end;
  if ${schema}.entry_text(null, new.bytes) = new.data then
    new.data := '${noText}';
  else
    new.bytes := null;
  end if;
  return new;
end`)};
create trigger keep_bytes before insert on ${schema}.entries for each row
when (new.log = 'archive' and new.key is null and starts_with(new.data, '${ahead}'))
execute function ${schema}.keep_bytes();`;
}
