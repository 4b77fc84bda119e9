/** Routes for operators: the key of a request, leases, stored entries, hosts, the doctor's report. */
import type { Shared } from "../../http/server-context.ts";
import { addEntryRoutes } from "./entry-routes.ts";
import { addLeaseRoutes } from "./lease-routes.ts";
import { addStoreRoutes } from "./store-routes.ts";

export function addInspectionRoutes(shared: Shared): void {
  addLeaseRoutes(shared);
  addEntryRoutes(shared);
  addStoreRoutes(shared);
}
