import { BlockList, isIPv6 } from "node:net";
import type { RequestContext } from "./route.ts";

/**
 * The source of a client's address: `connection` without a proxy in front; else the name of the header that the
 * proxy sets. Of several addresses in it, the last one was added by the proxy.
 */
export type ClientAddress = "connection" | (string & {});

/**
 * The address, or for IPv6 its network, as one client has a whole network. Undefined if unknown. Where the source is not
 * named, the address of the connection counts, unless the request may have come through a proxy: then all clients would
 * have the one address of the proxy.
 */
export function addressOf(c: RequestContext, known: ClientAddress | undefined): string | undefined {
  if (known === undefined) {
    const direct = connected(c);
    return direct === undefined || mayBeProxied(c, direct) ? undefined : network(direct);
  }
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

/** Headers that proxies add. */
const proxyHeaders = ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"];

/** Networks in which a proxy of one's own is, and a client on the internet is not. */
const privateNetworks = new BlockList();
for (const [address, bits] of [
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
] as const)
  privateNetworks.addSubnet(address, bits, "ipv4");
privateNetworks.addAddress("::1", "ipv6");
privateNetworks.addSubnet("fc00::", 7, "ipv6");
privateNetworks.addSubnet("fe80::", 10, "ipv6");

function mayBeProxied(c: RequestContext, address: string): boolean {
  if (proxyHeaders.some((name) => c.req.header(name) !== undefined)) return true;
  return privateNetworks.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}
