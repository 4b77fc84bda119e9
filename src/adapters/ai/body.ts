import { SessionError, type ModelSettings } from "../../index.ts";

/**
 * Checks that `body` has the fields of providers, as the AI SDK's `providerOptions` have them.
 * @throws SessionError `argument_invalid`
 */
export function checkBody({ body = {} }: ModelSettings, name: string): void {
  for (const [provider, fields] of Object.entries(body)) {
    if (typeof fields === "object" && fields !== null && !Array.isArray(fields)) continue;
    const value = JSON.stringify(fields) as string | undefined;
    throw new SessionError("argument_invalid", {
      name: `${name}.body.${provider}`,
      value: value?.slice(0, 80) ?? "undefined",
      expected: "provider_options",
    });
  }
}
