import { useSignal, type Signal } from "@preact/signals";

/** Work that a button starts: its result, its failure, and whether it runs. */
export interface Run<Result> {
  readonly result: Signal<Result | undefined>;
  readonly failure: Signal<unknown>;
  readonly isBusy: Signal<boolean>;
  readonly start: (work: () => Promise<Result>) => Promise<void>;
}

export function useRun<Result>(): Run<Result> {
  const result = useSignal<Result | undefined>(undefined);
  const failure = useSignal<unknown>(undefined);
  const isBusy = useSignal(false);
  const start = async (work: () => Promise<Result>): Promise<void> => {
    isBusy.value = true;
    failure.value = undefined;
    try {
      result.value = await work();
    } catch (error) {
      failure.value = error;
    }
    isBusy.value = false;
  };
  return { result, failure, isBusy, start };
}
