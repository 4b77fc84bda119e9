import { isIPv6 } from "node:net";
import type { RequestContext } from "./route.ts";

/**
 * The source of a client's address: `connection` without a proxy in front; else the name of the header that the
 * proxy sets. Of several addresses in it, the last one was added by the proxy.
 */
export type ClientAddress = "connection" | (string & {});

/** The address, or for IPv6 its network, as one client has a whole network. Undefined if unknown. */
export function addressOf(c: RequestContext, known: ClientAddress | undefined): string | undefined {
  if (known === undefined) return undefined;
  const address = known === "connection" ? connected(c) : c.req.header(known)?.split(",").at(-1)?.trim();
  return address === undefined || address === "" ? undefined : network(address.slice(0, 64));
}

function connected(c: RequestContext): string | undefined {
  const env = c.env as { readonly incoming?: { readonly socket?: { readonly remoteAddress?: string } } } | undefined;
  return env?.incoming?.socket?.remoteAddress;
}

/** The first 64 bits of an IPv6 address, written out. */
function network(address: string): string {
  if (!isIPv6(address) || address.includes(".")) return address;
  const [head = "", tail] = address.split("::", 2);
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: tail === undefined ? 0 : 8 - first.length - last.length }, () => "0");
  const groups = [...first, ...zeros, ...last].slice(0, 4);
  return groups.map((group) => Number.parseInt(group, 16).toString(16)).join(":");
}
