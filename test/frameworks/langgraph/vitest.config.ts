/** LangChain's own tests of checkpointers run under vitest. The sources of Perdure find the packages of this folder. */
import { fileURLToPath } from "node:url";

const modules = fileURLToPath(new URL("node_modules/", import.meta.url));

const config: object = {
  root: import.meta.dirname,
  resolve: { alias: [{ find: /^@langchain\/(.*)$/, replacement: `${modules}@langchain/$1` }] },
  test: { globals: true, include: ["validation.spec.ts"], pool: "threads", maxWorkers: 1, watch: false },
};

export default config;
