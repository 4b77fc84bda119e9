/** PostgreSQL servers and databases that run until the tests of a file have ended. */
import { after } from "node:test";
import { PostgresServer, someDatabase, type ServerOptions, type SomeDatabase } from "./server.ts";

/** A server for the tests of the file that calls this. */
export async function serverOfFile(options: ServerOptions = {}): Promise<PostgresServer> {
  const server = await PostgresServer.start(options);
  after(() => server[Symbol.asyncDispose]());
  return server;
}

/** A fresh database for the tests of the file that calls this. */
export async function databaseOfFile(): Promise<SomeDatabase> {
  const database = await someDatabase();
  after(() => database[Symbol.asyncDispose]());
  return database;
}
