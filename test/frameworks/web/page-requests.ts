/** What the snippets of docs/frameworks/requests.md use without declaring it. */
export declare const app: import("express").Express & import("fastify").FastifyInstance;
export declare const secret: string;
export declare const model: import("perdure").Model;
export declare const sessions: import("perdure").Sessions;
export declare const userOf: (request: unknown) => string;
export declare const auth: () => Promise<{ user: { id: string } } | null>;
/** As `next/headers` has it. */
export declare const cookies: () => Promise<import("perdure/next").NextCookies>;
