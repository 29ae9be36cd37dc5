import type { Steps } from "../../src/core/steps.ts";

/** The result of long work, without a stop in between. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
