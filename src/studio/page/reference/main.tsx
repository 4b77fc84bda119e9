import { render } from "preact";
import type { Document } from "./document.ts";
import { Reference } from "./reference.tsx";

const root = document.querySelector("#app");
const data = document.querySelector("#data")?.textContent;
if (root !== null && data !== null && data !== undefined)
  render(<Reference document={JSON.parse(data) as Document} />, root);
