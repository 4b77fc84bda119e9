import { render } from "preact";
import { begin } from "./http/api.ts";
import { App } from "./app.tsx";

const root = document.querySelector("#app");
if (root !== null) render(<App />, root);
void begin();
