import type { Library } from "../cel/library.ts";
import { CelError, type Opaque } from "../cel/values.ts";
import { BOOL, type Cost, DOUBLE, declare, INT, method, opaque, plain, STRING, traversal } from "./define.ts";
import { type Amount, parseQuantity } from "./quantity-parse.ts";

const NAME = "kubernetes.Quantity";
const QUANTITY = opaque(NAME);
const ONE: Cost = () => 1;
/** Digits of the longest numbers that are brought to one scale; what Kubernetes would take minutes for. */
const DIGITS_MAX = 10_000;

/** Kubernetes' resource.Quantity. */
export class Quantity implements Opaque {
  readonly opaque = NAME;
  readonly amount: Amount;
  readonly #isComputed: boolean;

  constructor(amount: Amount, isComputed = false) {
    this.amount = amount;
    this.#isComputed = isComputed;
  }

  /**
   * Kubernetes' `add` and `sub` return another Go type than `quantity`, which its `==` does not take on the right side
   * (apiserver/pkg/cel/quantity.go, Equal). Whoever tests a rule there meets the same error here.
   */
  equals(other: Opaque): boolean {
    if (!(other instanceof Quantity) || other.#isComputed) throw new CelError("no such overload");
    return compareAmounts(this.amount, other.amount) === 0;
  }

  toString(): string {
    return `${this.amount.unscaled}e${this.amount.scale}`;
  }
}

/** apiserver/pkg/cel/library/quantity.go. `sign` is a function, not a method, as it is there. */
export const quantity: Library = {
  functions: [
    declare(
      "quantity",
      plain({ id: "string_to_quantity", parameters: [STRING], result: QUANTITY, call: toQuantity, cost: traversal() }),
    ),
    declare(
      "isQuantity",
      plain({ id: "is_quantity_string", parameters: [STRING], result: BOOL, call: isQuantity, cost: traversal() }),
    ),
    declare("sign", plain({ ...of("quantity_sign", 1), result: INT, call: sign })),
    declare("asApproximateFloat", method({ ...of("quantity_get_float", 1), result: DOUBLE, call: asFloat })),
    declare("asInteger", method({ ...of("quantity_get_int", 1), result: INT, call: asInteger })),
    declare(
      "isInteger",
      method({
        ...of("quantity_is_integer", 1),
        result: BOOL,
        call: (value: Quantity) => int64Of(value) !== undefined,
      }),
    ),
    ...["add", "sub"].map((name) => {
      const change = (value: Quantity, by: Quantity | bigint) => added(value, by, name === "sub");
      const withInt = { id: `quantity_${name}_int`, parameters: [QUANTITY, INT], cost: ONE };
      return declare(
        name,
        method({ ...of(`quantity_${name}`, 2), result: QUANTITY, call: change }),
        method({ ...withInt, result: QUANTITY, call: change }),
      );
    }),
    declare(
      "isGreaterThan",
      method({ ...of("quantity_is_greater_than", 2), result: BOOL, call: ordered((o) => o > 0) }),
    ),
    declare("isLessThan", method({ ...of("quantity_is_less_than", 2), result: BOOL, call: ordered((o) => o < 0) })),
    declare("compareTo", method({ ...of("quantity_compare_to", 2), result: INT, call: ordered(BigInt) })),
  ],
};

function of(id: string, quantities: 1 | 2) {
  return { id, parameters: quantities === 1 ? [QUANTITY] : [QUANTITY, QUANTITY], cost: ONE };
}

function toQuantity(text: string): Quantity {
  try {
    return new Quantity(parseQuantity(text));
  } catch (error) {
    throw new CelError((error as CelError).message);
  }
}

function isQuantity(text: string): boolean {
  try {
    parseQuantity(text);
    return true;
  } catch {
    return false;
  }
}

function sign({ amount }: Quantity): bigint {
  return BigInt(signOf(amount.unscaled));
}

function signOf(value: bigint): number {
  return value === 0n ? 0 : value > 0n ? 1 : -1;
}

function int64Of({ amount }: Quantity): bigint | undefined {
  if (!amount.isFast || amount.scale < 0) return undefined;
  return scaledInt64(amount.unscaled, amount.scale);
}

/** Times ten to the power of `power`; undefined if that does not fit 64 bits. */
function scaledInt64(value: bigint, power: number): bigint | undefined {
  if (value === 0n) return 0n;
  // 10^19 does not fit.
  return power > 18 ? undefined : int64(value * 10n ** BigInt(power));
}

function int64(value: bigint): bigint | undefined {
  return value === BigInt.asIntN(64, value) ? value : undefined;
}

function asInteger(value: Quantity): bigint {
  const integer = int64Of(value);
  if (integer === undefined) throw new CelError("cannot convert value to integer");
  return integer;
}

/** Rounds as Go does: the digits to a double, then times a power of ten. */
function asFloat({ amount: { unscaled, scale } }: Quantity): number {
  return scale === 0 ? Number(unscaled) : Number(unscaled) * powerOfTen(scale);
}

/** Go's math.Pow10, a product of two table entries. */
function powerOfTen(exponent: number): number {
  if (exponent < -323) return 0;
  if (exponent > 308) return Number.POSITIVE_INFINITY;
  const size = Math.abs(exponent);
  const [rough, fine] = [size - (size % 32), size % 32];
  return exponent < 0 ? Number(`1e-${rough}`) / Number(`1e${fine}`) : Number(`1e${rough}`) * Number(`1e${fine}`);
}

function added(value: Quantity, by: Quantity | bigint, isNegative: boolean): Quantity {
  const { amount } = value;
  const change: Amount = by instanceof Quantity ? by.amount : { unscaled: by, scale: 0, isFast: true };
  const unscaled = isNegative ? -change.unscaled : change.unscaled;
  // Negated in 64 bits -2^63 stays what it is, as in Go.
  const fast = fastSum(amount, { ...change, unscaled: BigInt.asIntN(64, unscaled) });
  return new Quantity(fast ?? slowSum(amount, { ...change, unscaled }), true);
}

function fastSum(a: Amount, b: Amount): Amount | undefined {
  if (!a.isFast || !b.isFast) return undefined;
  if (b.unscaled === 0n) return a;
  if (a.unscaled === 0n) return b;
  const scale = Math.min(a.scale, b.scale);
  const left = scaledInt64(a.unscaled, a.scale - scale);
  const right = scaledInt64(b.unscaled, b.scale - scale);
  const unscaled = left === undefined || right === undefined ? undefined : int64(left + right);
  return unscaled === undefined ? undefined : { unscaled, scale, isFast: true };
}

function slowSum(a: Amount, b: Amount): Amount {
  const [left, right, scale] = aligned(a, b);
  return { unscaled: left + right, scale, isFast: false };
}

function aligned(a: Amount, b: Amount): readonly [bigint, bigint, number] {
  const scale = Math.min(a.scale, b.scale);
  if (Math.max(a.scale, b.scale) - scale > DIGITS_MAX) throw new CelError("quantities are too far apart");
  return [a.unscaled * 10n ** BigInt(a.scale - scale), b.unscaled * 10n ** BigInt(b.scale - scale), scale];
}

function compareAmounts(a: Amount, b: Amount): number {
  const [left, right] = aligned(a, b);
  return signOf(left - right);
}

function ordered<T extends boolean | bigint>(result: (order: number) => T): (a: Quantity, b: Quantity) => T {
  return (a, b) => result(compareAmounts(a.amount, b.amount));
}
