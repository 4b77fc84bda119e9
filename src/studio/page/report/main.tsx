import { render } from "preact";
import type { Stats } from "../http/wire.ts";
import { Report } from "./report.tsx";

const root = document.querySelector("#app");
const data = document.querySelector("#data")?.textContent;
if (root !== null && data !== null && data !== undefined) render(<Report stats={JSON.parse(data) as Stats} />, root);
