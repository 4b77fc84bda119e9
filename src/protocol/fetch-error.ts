/** Why a request had no answer, in a few words: `fetch` says only that it failed, what it met stands behind that. */
export function unansweredReason(error: unknown): string {
  const { message, cause } = error as Error;
  const { code, message: behind } = (cause ?? {}) as { readonly code?: string; readonly message?: string };
  return (code ?? behind ?? message).slice(0, 200);
}
