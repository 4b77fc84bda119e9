import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { onChange, onStreams } from "./news.ts";

/** Counts rounds: news that come within this time, ms, are one. A component that depends on it reads again. */
export function useRound(everyMs: number, of: "sessions" | "streams" = "sessions"): number {
  const round = useSignal(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const unfollow = (of === "sessions" ? onChange : onStreams)(() => {
      timer ??= setTimeout(() => {
        timer = undefined;
        round.value++;
      }, everyMs);
    });
    return () => {
      unfollow();
      clearTimeout(timer);
    };
  }, [everyMs, of]);
  return round.value;
}
