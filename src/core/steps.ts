/** Long work that stops now and then, so that whoever does it can let others in between. */
export type Steps<T> = Generator<undefined, T>;
