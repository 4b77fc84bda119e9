/** The package `genkit`, described by the shapes that are used. Its class of errors is loaded when one is thrown. */
import { loadPeer } from "../peers/load-peer.ts";

/** The conversation at the time of a snapshot. */
export interface GenkitState<S = unknown> {
  sessionId?: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- as the package declares its messages and artifacts
  messages?: any[];
  custom?: S;
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  artifacts?: any[];
}

/** A snapshot of a session. Fields that are not named here are kept too. */
export interface GenkitSnapshot<S = unknown> {
  snapshotId: string;
  sessionId?: string;
  /** The snapshot before it. */
  parentId?: string;
  createdAt: string;
  updatedAt?: string;
  heartbeatAt?: string;
  status?: "pending" | "completed" | "aborted" | "failed" | "expired";
  // oxlint-disable-next-line typescript/no-explicit-any -- as the package declares it
  finishReason?: any;
  // oxlint-disable-next-line typescript/no-explicit-any -- as the package declares it
  error?: any;
  state?: GenkitState<S>;
}

/** A snapshot to save; without an id it gets a random one. */
export type GenkitSnapshotInput<S = unknown> = Omit<GenkitSnapshot<S>, "snapshotId"> & { snapshotId?: string };

/** The context of a call, such as the user who is signed in. */
export interface GenkitContext {
  // oxlint-disable-next-line typescript/no-explicit-any -- as the package declares it
  [name: string]: any;
}

interface PackageGenkit {
  readonly GenkitError: new (options: { status: string; message: string }) => Error;
}

/** @throws SessionError `argument_invalid` if the package is not installed, or has another form */
export async function failedPrecondition(message: string): Promise<Error> {
  const { GenkitError } = await loadPeer<PackageGenkit>(
    "genkit",
    // @ts-ignore -- The package is a peer: its types may be absent.
    () => import("genkit"),
    ["GenkitError"],
  );
  return new GenkitError({ status: "FAILED_PRECONDITION", message });
}
