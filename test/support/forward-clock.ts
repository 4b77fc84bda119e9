import { systemClock, type Clock } from "../../src/index.ts";

/** The system's clock, which a test can set forward: deadlines pass without a wait. */
export interface ForwardClock extends Clock {
  forward(ms: number): void;
}

export function forwardClock(): ForwardClock {
  let aheadMs = 0;
  return {
    ...systemClock,
    now: () => systemClock.now() + aheadMs,
    forward(ms) {
      aheadMs += ms;
    },
  };
}
