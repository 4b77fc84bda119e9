/** Resolves the packages of LangChain for the sources of the adapters and for the examples. */
import { resolvePackages } from "../resolve.ts";

resolvePackages(import.meta.url, ["@langchain/core", "@langchain/langgraph", "@langchain/langgraph-checkpoint"]);
