import { quoteBody } from "../../connection/names.ts";
import { planOnce } from "./parts.ts";

/**
 * The rows of `labels` repeat the labels of sessions, for lists that filter by them. Triggers write them in the transaction
 * that changes the labels.
 */
export function labelTriggers(schema: string): string {
  return `
create function ${schema}.keep_labels() returns trigger language plpgsql ${planOnce}
as ${quoteBody(body(schema))};
create trigger labels_of_created after insert on ${schema}.sessions for each row
when (new.labels is not null) execute function ${schema}.keep_labels();
create trigger labels_of_removed after delete on ${schema}.sessions for each row
when (old.labels is not null) execute function ${schema}.keep_labels();`;
}

/** The trigger of updates that name one of its columns: an append names none of them. */
export function labelsOfChanged(schema: string): string {
  return `
create trigger labels_of_changed after update of labels, created_at on ${schema}.sessions for each row
when (old.labels is distinct from new.labels or (new.labels is not null and old.created_at <> new.created_at))
execute function ${schema}.keep_labels();`;
}

const body = (schema: string): string => `
begin
  if tg_op <> 'INSERT' and old.labels is not null then
    delete from ${schema}.labels label where label.tenant = old.tenant and label.session = old.id;
  end if;
  if tg_op <> 'DELETE' and new.labels is not null then
    insert into ${schema}.labels (tenant, session, name, value, created_at)
    select new.tenant, new.id, label.key, label.value, new.created_at from json_each_text(new.labels::json) label;
  end if;
  return null;
end`;
