/** Together with texts of the greatest length at most some MiB. */
const KEPT_MAX = 500;
/** Whoever may write an object may write a longer one; what is made from that is not kept. */
const TEXT_MAX_LENGTH = 2_000;

/** What was made from texts, once for each: many objects carry one and the same. When it is full, it begins anew. */
export class Kept<Value extends object> {
  readonly #values = new Map<string, Value>();

  /** `make` depends on nothing but the text. What is undefined is made again. */
  get<Made extends Value | undefined>(text: string, make: () => Made): Value | Made {
    const known = this.#values.get(text);
    if (known !== undefined) return known;
    const made = make();
    if (made !== undefined && text.length <= TEXT_MAX_LENGTH) {
      if (this.#values.size >= KEPT_MAX) this.#values.clear();
      this.#values.set(text, made);
    }
    return made;
  }
}
