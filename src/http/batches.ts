export interface Steps<Review, Answered> {
  readonly answer: (review: Review) => Answered;
  readonly send: (answered: Answered) => void;
  /** Monotonic clock in milliseconds, such as performance.now. */
  readonly monotonicMs: () => number;
}

/** An answer does not wait longer than this, and one more review, for the others of its batch. */
export const UNSENT_MAX_MS = 1;

/**
 * Takes reviews one by one, and answers all that have arrived in one turn of the event loop before it sends the first
 * of their answers. Under load each step then runs many times in a row, with its code in the processor's caches, and a
 * client that waits for several answers is woken once: half of the CPU of a review (docs/adr/0002-http-stack.md).
 */
export function inBatches<Review, Answered>(steps: Steps<Review, Answered>): (review: Review) => void {
  let arrived: Review[] = [];
  const answerArrived = (): void => {
    const reviews = arrived;
    arrived = [];
    let unsent: Answered[] = [];
    let sentMs = steps.monotonicMs();
    for (const review of reviews) {
      unsent.push(steps.answer(review));
      if (steps.monotonicMs() - sentMs < UNSENT_MAX_MS) continue;
      unsent.forEach(steps.send);
      unsent = [];
      sentMs = steps.monotonicMs();
    }
    unsent.forEach(steps.send);
  };
  return (review) => {
    if (arrived.push(review) === 1) setImmediate(answerArrived);
  };
}
