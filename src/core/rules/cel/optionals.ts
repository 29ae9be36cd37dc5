import type { FunctionDeclaration } from "./library.ts";
import { costSize } from "./standard-cost.ts";
import type { Type } from "./types.ts";
import { CelError, Duration, Optional, Timestamp, toElement, Uint, type Value } from "./values.ts";

const V: Type = { kind: "parameter", name: "V" };
const OPTIONAL: Type = { kind: "optional", of: V };
const LIST_OF_OPTIONALS: Type = { kind: "list", element: OPTIONAL };

/** What a type has when nothing is set: null, false, 0, and whatever is empty. */
function isZero(value: Value): boolean {
  if (typeof value !== "object") {
    return value === 0n || value === 0 || value === "" || value === false;
  }
  if (value instanceof Uint) {
    return value.value === 0n;
  }
  if (value instanceof Duration) {
    return value.nanos === 0n;
  }
  if (value instanceof Timestamp) {
    // Go's zero time is the first second of the year 1.
    return value.nanos === -62_135_596_800_000_000_000n;
  }
  return value === null || (value instanceof Optional ? value.value === undefined : costSize(value) === 0);
}

function valueOf(optional: Value | undefined): Value {
  const value = optional instanceof Optional ? optional.value : undefined;
  if (value === undefined) {
    throw new CelError("optional.none() dereference");
  }
  return value;
}

function unwrapped(list: Value | undefined): Value {
  const values: unknown[] = [];
  for (const element of list as readonly unknown[]) {
    const { value } = element as Optional;
    if (value !== undefined) {
      values.push(toElement(value));
    }
  }
  return values;
}

/** The functions of cel-go's optional library, version 2. */
export const OPTIONALS: readonly FunctionDeclaration[] = [
  {
    name: "optional.of",
    overloads: [
      { id: "optional_of", member: false, parameters: [V], result: OPTIONAL, call: (value) => new Optional(value) },
    ],
  },
  {
    name: "optional.ofNonZeroValue",
    overloads: [
      {
        id: "optional_ofNonZeroValue",
        member: false,
        parameters: [V],
        result: OPTIONAL,
        call: (value = null) => (isZero(value) ? Optional.none : new Optional(value)),
      },
    ],
  },
  {
    name: "optional.none",
    overloads: [{ id: "optional_none", member: false, parameters: [], result: OPTIONAL, call: () => Optional.none }],
  },
  {
    name: "value",
    overloads: [{ id: "optional_value", member: true, parameters: [OPTIONAL], result: V, call: valueOf }],
  },
  {
    name: "hasValue",
    overloads: [
      {
        id: "optional_hasValue",
        member: true,
        parameters: [OPTIONAL],
        result: { kind: "bool" },
        call: (optional) => (optional as Optional).value !== undefined,
      },
    ],
  },
  {
    name: "optional.unwrap",
    overloads: [
      {
        id: "optional_unwrap",
        member: false,
        parameters: [LIST_OF_OPTIONALS],
        result: { kind: "list", element: V },
        call: unwrapped,
      },
    ],
  },
  {
    name: "unwrapOpt",
    overloads: [
      {
        id: "optional_unwrapOpt",
        member: true,
        parameters: [LIST_OF_OPTIONALS],
        result: { kind: "list", element: V },
        call: unwrapped,
      },
    ],
  },
  // The evaluator has these two of its own: they look at their argument only if they need it.
  {
    name: "or",
    overloads: [
      {
        id: "optional_or_optional",
        member: true,
        parameters: [OPTIONAL, OPTIONAL],
        result: OPTIONAL,
        call: (optional, other) => ((optional as Optional).value === undefined ? (other ?? null) : (optional ?? null)),
      },
    ],
  },
  {
    name: "orValue",
    overloads: [
      {
        id: "optional_orValue_value",
        member: true,
        parameters: [OPTIONAL, V],
        result: V,
        call: (optional, other) => (optional as Optional).value ?? other ?? null,
      },
    ],
  },
];
