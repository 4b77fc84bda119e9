/** The reason of a failed request, in a few words: `fetch` only says that it failed; the reason is in its cause. */
export function unansweredReason(error: unknown): string {
  const { message, cause } = error as Error;
  const { code, message: behind } = (cause ?? {}) as { readonly code?: string; readonly message?: string };
  return (code ?? behind ?? message).slice(0, 200);
}
