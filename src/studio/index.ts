/**
 * The studio: a page that shows sessions, conversations, leases and usage, and acts on them.
 *
 * @module perdure/studio
 */
export { createStudio, type Studio, type StudioOptions } from "./studio.ts";
