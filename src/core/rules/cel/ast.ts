import type { Value } from "./values.ts";

/** Offsets into the text of the expression, in UTF-16 code units. */
export interface Span {
  readonly start: number;
  readonly end: number;
  /** Where messages point, as in cel-go: the operator, the dot or the opening bracket. Absent: the start. */
  readonly at?: number;
}

/**
 * The tree of an expression, as cel-go has it after macros are expanded: operators are calls (`_+_`, `_==_`, `_&&_`,
 * `_?_:_`, `!_`, `-_`, `@in`), `all`, `exists`, `map` and the like are comprehensions.
 */
export type Expression =
  | (Span & { readonly kind: "literal"; readonly value: Value })
  | (Span & { readonly kind: "identifier"; readonly name: string })
  /** `a.b`; `has(a.b)` is `test`, `a.?b` is `optional`. */
  | (Span & {
      readonly kind: "select";
      readonly operand: Expression;
      readonly field: string;
      readonly test: boolean;
      readonly optional: boolean;
    })
  /** `a[b]`, and `a[?b]` which is `optional`. */
  | (Span & {
      readonly kind: "index";
      readonly operand: Expression;
      readonly index: Expression;
      readonly optional: boolean;
    })
  | (Span & {
      readonly kind: "call";
      readonly name: string;
      /** Of a method call: the `a` of `a.size()`. */
      readonly target: Expression | undefined;
      readonly arguments: readonly Expression[];
    })
  | (Span & { readonly kind: "list"; readonly elements: readonly ListElement[] })
  | (Span & { readonly kind: "map"; readonly entries: readonly MapEntry[] })
  /** `Name{field: value}`: parsed, so that it can be refused in words. */
  | (Span & { readonly kind: "struct"; readonly name: string; readonly entries: readonly MapEntry[] })
  | Comprehension;

export interface ListElement {
  readonly value: Expression;
  readonly optional: boolean;
}

export interface MapEntry {
  readonly key: Expression;
  readonly value: Expression;
  readonly optional: boolean;
}

/** A fold over a list or the keys of a map, as in cel-spec. */
export interface Comprehension extends Span {
  readonly kind: "comprehension";
  readonly range: Expression;
  readonly variable: string;
  /** Of the macros with two variables: the value, while `variable` is the index or key. */
  readonly variable2: string | undefined;
  readonly accumulator: string;
  readonly initial: Expression;
  readonly condition: Expression;
  readonly step: Expression;
  readonly result: Expression;
  /** Name of the macro it came from, for messages. */
  readonly macro: string;
}
