/** Routes for operators: keys, leases, stored entries, hosts, the doctor's report. */
import type { Shared } from "../../http/server-context.ts";
import { addEntryRoutes } from "./entry-routes.ts";
import { addKeyRoutes } from "./key-routes.ts";
import { addLeaseRoutes } from "./lease-routes.ts";
import { addStoreRoutes } from "./store-routes.ts";

export function addInspectionRoutes(shared: Shared): void {
  addKeyRoutes(shared);
  addLeaseRoutes(shared);
  addEntryRoutes(shared);
  addStoreRoutes(shared);
}
