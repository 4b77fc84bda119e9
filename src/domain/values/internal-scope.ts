/**
 * Internal scopes beside each tenant's, for records that are not conversations: device pointers, link codes, keys. The
 * name of a tenant has no control characters, so no caller can name such a scope.
 */
const mark = "\u0001";

/** The scope for records of one kind that belong to a tenant. */
export function internalScope(tenant: string, kind: string): string {
  return `${tenant}${mark}${kind}`;
}

/** True for a scope made by {@link internalScope}: the sweep removes its records as soon as they expire. */
export function isInternalScope(tenant: string): boolean {
  return tenant.includes(mark);
}

const streams = "streams";
const streamsMark = internalScope("", streams);

/** The scope of a tenant's streams. */
export function streamScope(tenant: string): string {
  return internalScope(tenant, streams);
}

/** True for the scope of a tenant's streams. */
export function isStreamScope(tenant: string): boolean {
  return tenant.endsWith(streamsMark);
}

/** The tenant that an internal scope belongs to. */
export function tenantOfScope(scope: string): string {
  return scope.slice(0, scope.indexOf(mark));
}

/** The tenant whose news have the records of a scope: that of a stream's scope, else the scope itself. */
export function newsTenantOf(scope: string): string {
  return isStreamScope(scope) ? tenantOfScope(scope) : scope;
}
