/**
 * Scopes of our own beside each tenant's, for what is no conversation: whom a device speaks for, one-time codes, keys.
 * A tenant's name holds no control characters, so nobody can name such a scope from outside.
 */
const mark = "\u0001";

/** The scope for records of one kind that belong to a tenant. */
export function internalScope(tenant: string, kind: string): string {
  return `${tenant}${mark}${kind}`;
}

/** True for a scope made by {@link internalScope}: what is in it is removed as soon as its time is up. */
export function isInternalScope(tenant: string): boolean {
  return tenant.includes(mark);
}
