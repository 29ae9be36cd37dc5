import { utf8Length } from "../../text.ts";
import type { Library } from "../cel/library.ts";
import { CelError, type Opaque } from "../cel/values.ts";
import { BOOL, type Cost, declare, INT, method, opaque, plain, STRING, traversal } from "./define.ts";
import { goQuote } from "./go-text.ts";

const NAME = "kubernetes.Semver";
const SEMVER = opaque(NAME);
const ONE: Cost = () => 1;
const UINT64_END = 1n << 64n;

/** A version as blang/semver reads it: strictly three numbers, then `-` prerelease and `+` build. */
export class Semver implements Opaque {
  readonly opaque = NAME;
  readonly numbers: readonly [bigint, bigint, bigint];
  /** Numbers are bigint. */
  readonly prerelease: readonly (bigint | string)[];
  readonly #text: string;

  /** Units of comparing it with another: two may differ in the last part only. */
  get units(): number {
    return traversal()([this.#text]);
  }

  constructor(numbers: readonly [bigint, bigint, bigint], prerelease: readonly (bigint | string)[], text: string) {
    this.numbers = numbers;
    this.prerelease = prerelease;
    this.#text = text;
  }

  equals(other: Opaque): boolean {
    return other instanceof Semver && this.compare(other) === 0;
  }

  /** Negative, zero or positive; the build does not count. */
  compare(other: Semver): number {
    for (const [index, number] of this.numbers.entries()) {
      const order = compareParts(number, other.numbers[index] ?? 0n);
      if (order !== 0) return order;
    }
    // A version without prerelease is the later one.
    if (this.prerelease.length === 0 || other.prerelease.length === 0) {
      return Math.sign(other.prerelease.length - this.prerelease.length);
    }
    for (const [index, part] of this.prerelease.entries()) {
      const order = compareParts(part, other.prerelease[index]);
      if (order !== 0) return order;
    }
    return Math.sign(this.prerelease.length - other.prerelease.length);
  }

  toString(): string {
    return this.#text;
  }
}

/** apiserver/pkg/cel/library/semverlib.go in version 1: with `normalize`. */
export const semver: Library = {
  functions: [
    declare(
      "semver",
      plain({ id: "string_to_semver", parameters: [STRING], result: SEMVER, call: parse, cost: traversal() }),
      plain({
        id: "string_bool_to_semver",
        parameters: [STRING, BOOL],
        result: SEMVER,
        call: parse,
        cost: traversal(),
      }),
    ),
    declare(
      "isSemver",
      plain({ id: "is_semver_string", parameters: [STRING], result: BOOL, call: isSemver, cost: traversal() }),
      plain({
        id: "is_semver_string_bool",
        parameters: [STRING, BOOL],
        result: BOOL,
        call: isSemver,
        cost: traversal(),
      }),
    ),
    ...(["major", "minor", "patch"] as const).map((name, index) =>
      declare(
        name,
        method({
          id: `semver_${name}`,
          parameters: [SEMVER],
          result: INT,
          call: (version: Semver) => BigInt.asIntN(64, version.numbers[index] ?? 0n),
          cost: ONE,
        }),
      ),
    ),
    declare(
      "isGreaterThan",
      method({ ...two("is_greater_than"), result: BOOL, call: (a: Semver, b: Semver) => a.compare(b) > 0 }),
    ),
    declare(
      "isLessThan",
      method({ ...two("is_less_than"), result: BOOL, call: (a: Semver, b: Semver) => a.compare(b) < 0 }),
    ),
    declare(
      "compareTo",
      method({ ...two("compare_to"), result: INT, call: (a: Semver, b: Semver) => BigInt(a.compare(b)) }),
    ),
  ],
};

/** Kubernetes counts one unit however many parts there are. */
function comparing([version]: Parameters<Cost>[0]): number {
  return 1 + (version as Semver).units;
}

function two(name: string) {
  return { id: `semver_${name}`, parameters: [SEMVER, SEMVER], cost: comparing };
}

function isSemver(text: string, normalize = false): boolean {
  try {
    parse(text, normalize);
    return true;
  } catch (error) {
    if (error instanceof CelError) return false;
    throw error;
  }
}

function parse(text: string, normalize = false): Semver {
  return parseStrictly(normalize ? normalized(text) : text);
}

/** Without `v` and leading zeros, with `.0` for what is missing. */
function normalized(text: string): string {
  const parts = splitInThree(text.startsWith("v") ? text.slice(1) : text).map(withoutZeros);
  const last = parts.at(-1) ?? "";
  if (parts.length < 3 && /[+-]/.test(last)) {
    throw new CelError("short version cannot contain PreRelease/Build meta data");
  }
  return [...parts, "0", "0"].slice(0, 3).join(".");
}

function withoutZeros(part: string): string {
  if (utf8Length(part) < 2) return part;
  const bare = part.replace(/^0+/, "");
  return /^\d/.test(bare) ? bare : `0${bare}`;
}

function splitInThree(text: string): readonly string[] {
  const [major = "", minor, ...rest] = text.split(".");
  if (minor === undefined) return [major];
  return rest.length === 0 ? [major, minor] : [major, minor, rest.join(".")];
}

function parseStrictly(text: string): Semver {
  if (text === "") throw new CelError("Version string empty");
  const [major = "", minor = "", rest] = splitInThree(text);
  if (rest === undefined) throw new CelError("No Major.Minor.Patch elements found");
  const [first, second] = [readNumber(major, "Major"), readNumber(minor, "Minor")];
  const [beforeBuild, build] = cut(rest, "+");
  const [patch, prerelease] = cut(beforeBuild, "-");
  const numbers = [first, second, readNumber(patch, "Patch")] as const;
  const parts = (prerelease?.split(".") ?? []).map(readPrerelease);
  for (const part of build?.split(".") ?? []) checkBuild(part);
  return new Semver(numbers, parts, text);
}

function cut(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function readNumber(text: string, what: "Major" | "Minor" | "Patch"): bigint {
  if (/[^0-9]/.test(text)) {
    throw new CelError(`Invalid character(s) found in ${what.toLowerCase()} number ${goQuote(text)}`);
  }
  if (/^0./.test(text)) throw new CelError(`${what} number must not contain leading zeroes ${goQuote(text)}`);
  return parseUint(text);
}

function parseUint(text: string): bigint {
  if (text === "") throw new CelError('strconv.ParseUint: parsing "": invalid syntax');
  const value = BigInt(text);
  if (value >= UINT64_END) throw new CelError(`strconv.ParseUint: parsing "${text}": value out of range`);
  return value;
}

function readPrerelease(text: string): bigint | string {
  if (text === "") throw new CelError("Prerelease is empty");
  if (/^\d+$/.test(text)) {
    if (/^0./.test(text)) {
      throw new CelError(`Numeric PreRelease version must not contain leading zeroes ${goQuote(text)}`);
    }
    return parseUint(text);
  }
  if (/[^0-9A-Za-z-]/.test(text)) throw new CelError(`Invalid character(s) found in prerelease ${goQuote(text)}`);
  return text;
}

function checkBuild(text: string): void {
  if (text === "") throw new CelError("Build meta data is empty");
  if (/[^0-9A-Za-z-]/.test(text)) throw new CelError(`Invalid character(s) found in build meta data ${goQuote(text)}`);
}

/** Numbers come before words, what is missing before all. */
function compareParts(a: bigint | string, b: bigint | string | undefined): number {
  if (b === undefined) return 1;
  if (typeof a !== typeof b) return typeof a === "bigint" ? -1 : 1;
  return a === b ? 0 : a < b ? -1 : 1;
}
