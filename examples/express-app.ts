/**
 * An Express application whose browser sessions survive its restart: `npm install express express-session`, then run this file twice.
 * It asks itself twice at once, as a page with two requests does.
 */
import express from "express";
import session from "express-session";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { openSessions } from "perdure";
import { expressStore } from "perdure/express";

await using sessions = await openSessions("sqlite:express-app.db");

const app = express();
const store = expressStore(session, sessions);
app.use(session({ secret: "a secret of the example", store, resave: false, saveUninitialized: false }));
app.get("/visit/:page", (req, res) => {
  Object.assign(req.session, { [req.params.page]: true });
  res.json(Object.keys(req.session).filter((name) => name.startsWith("page")));
});

const server = app.listen(0);
await new Promise((resolve) => server.once("listening", resolve));
const url = `http://localhost:${(server.address() as AddressInfo).port}`;

// The browser keeps its cookie in a file here.
const kept = "express-app.cookie.db";
let cookie = existsSync(kept) ? readFileSync(kept, "utf8") : "";
async function visit(page: string): Promise<unknown> {
  const response = await fetch(`${url}/visit/${page}`, { headers: { cookie } });
  cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
  return await response.json();
}

if (cookie === "") await visit("page0");
const run = existsSync(kept) ? 2 : 1;
await Promise.all([visit(`page${run}a`), visit(`page${run}b`)]);
console.log("pages visited:", await visit("page0"));
writeFileSync(kept, cookie);
server.close();
server.closeAllConnections();
