/** What the snippets of docs/frameworks/mcp.md use without declaring it. */
export declare const agents: Record<string, object>;
export declare const model: import("perdure").Model;
export declare const serve: (options: {
  fetch: (request: Request) => Response | Promise<Response>;
  port: number;
}) => void;
