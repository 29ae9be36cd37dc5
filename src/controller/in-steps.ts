import { setImmediate } from "node:timers/promises";
import type { Steps } from "../core/steps.ts";

/** Reviews, and the renewal of the Lease, go between the steps. */
export async function inSteps<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await setImmediate();
  }
}
