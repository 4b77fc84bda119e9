/** What the snippets of docs/frameworks/express.md use without declaring it. */
export declare const app: import("express").Express & import("fastify").FastifyInstance;
export declare const fastifyCookie: typeof import("@fastify/cookie").default;
export declare const fastifySession: typeof import("@fastify/session").default;
export declare const secret: string;
export declare const sessions: import("perdure").Sessions;
