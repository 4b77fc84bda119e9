import { storeConformance } from "../testing/conformance.ts";
import { scriptedClock } from "../testing/scripted-clock.ts";
import { openMemory } from "./memory.ts";

const clock = scriptedClock();
storeConformance({ name: "the memory store", open: async () => openMemory({ clock }), clock });
