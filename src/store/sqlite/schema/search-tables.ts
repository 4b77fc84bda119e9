import { keptBeginning } from "../../../domain/record/entry.ts";

/** True for an entry of the turns of any branch. */
export function isTurn(log: string): string {
  return `(${log} = 'turns' or ${log} glob '${keptBeginning}*')`;
}

/**
 * The index of search. It stays empty until the first search, which writes the row of `search_state`.
 *
 * - `search_messages` has a row for each message of a turn, and for each title, with seq 0. The place has the order of the
 *   results: the second of the message, then a number within it.
 * - `search_words` has the words of each message under the same number. It keeps no text.
 * - `search_state` has the last row of `entries` that is indexed. Each entry is written as a new row behind all others, so
 *   an append writes nothing for the index. A deletion at the end of the table frees numbers of rows, which are given again.
 * - `search_changes` has turns to look at again: entries that were deleted, titles, sessions under another key. No append
 *   writes to it.
 */
export const searchTables: string = `
      create table search_state (id integer primary key check (id = 1), up_to integer not null) strict;
      create table search_changes (
        session integer not null,
        log text not null,
        seq integer not null,
        primary key (session, log, seq)
      ) strict, without rowid;
      create table search_messages (
        place integer primary key,
        session integer not null,
        log text not null,
        seq integer not null,
        message integer not null,
        at integer not null
      ) strict;
      create index search_messages_of_turn on search_messages (session, log, seq);
      create virtual table search_words using fts5(
        words, content='', contentless_delete=1, detail=none, tokenize='ascii'
      );
      create trigger search_entry_deleted after delete on entries when exists (select 1 from search_state) begin
        update search_state set up_to = (select coalesce(max(rowid), 0) from entries)
        where up_to > (select coalesce(max(rowid), 0) from entries);
        insert or ignore into search_changes select old.session, old.log, old.seq where ${isTurn("old.log")};
      end;
      create trigger search_session_created after insert on sessions
      when new.title is not null and exists (select 1 from search_state) begin
        insert or ignore into search_changes values (new.no, 'turns', 0);
      end;
      create trigger search_title_changed after update of title on sessions
      when old.title is not new.title and exists (select 1 from search_state) begin
        insert or ignore into search_changes values (new.no, 'turns', 0);
      end;
      create trigger search_session_renamed after update of tenant on sessions when exists (select 1 from search_state) begin
        insert or ignore into search_changes values (new.no, 'turns', 0);
        insert or ignore into search_changes
        select session, log, seq from entries where session = new.no and ${isTurn("log")};
      end;
      create trigger search_session_removed after delete on sessions when exists (select 1 from search_state) begin
        insert or ignore into search_changes values (old.no, 'turns', 0);
        insert or ignore into search_changes select session, log, seq from search_messages where session = old.no;
      end;
    `;

/** Empties the index of search; the next search makes it anew. */
export const emptiedSearch: string = `
  delete from search_state;
  delete from search_changes;
  delete from search_messages;
  insert into search_words (search_words) values ('delete-all')`;
