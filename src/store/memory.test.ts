import { storeConformance } from "../testing/conformance.ts";
import { openMemory } from "./memory.ts";

storeConformance({ name: "the memory store", open: async () => openMemory() });
