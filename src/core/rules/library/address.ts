import { CelError } from "../cel/values.ts";
import { goQuote } from "./go-text.ts";

/** An IP address as Go's net/netip has it. */
export interface Address {
  readonly bits: 32 | 128;
  readonly value: bigint;
  /** Empty but for `fe80::1%eth0`. */
  readonly zone: string;
}

/** Units for writing an address, or for masking it: 128 bits take longer than the one unit that Kubernetes counts. */
export const ADDRESS_UNITS: Readonly<Record<Address["bits"], number>> = { 32: 1, 128: 4 };

const GROUPS = 8;
const GROUP_MAX_DIGITS = 4;

/** Throws a CelError with netip's message. */
export function parseAddress(text: string): Address {
  const [first] = /[.:%]/.exec(text) ?? [];
  if (first === ".") return { bits: 32, value: parseIpv4(text, text), zone: "" };
  if (first === ":") return parseIpv6(text);
  throw problem(text, first === "%" ? "missing IPv6 address" : "unable to parse IP");
}

function problem(text: string, message: string, at = ""): CelError {
  return new CelError(`ParseAddr(${goQuote(text)}): ${message}${at === "" ? "" : ` (at ${goQuote(at)})`}`);
}

/** `part` is the address, all of `text` or its end. */
function parseIpv4(text: string, part: string): bigint {
  let value = 0n;
  let fields = 0;
  let octet = "";
  for (let at = 0; at < part.length; at++) {
    const character = part.charAt(at);
    const rest = () => part.slice(at);
    if (character >= "0" && character <= "9") {
      if (octet === "0") throw problem(text, "IPv4 field has octet with leading zero");
      octet += character;
      if (Number(octet) > 255) throw problem(text, "IPv4 field has value >255");
    } else if (character === ".") {
      if (octet === "" || at === part.length - 1) {
        throw problem(text, "IPv4 field must have at least one digit", rest());
      }
      if (fields === 3) throw problem(text, "IPv4 address too long");
      value = (value << 8n) | BigInt(octet);
      fields++;
      octet = "";
    } else {
      throw problem(text, "unexpected character", rest());
    }
  }
  if (fields < 3) throw problem(text, "IPv4 address too short");
  return (value << 8n) | BigInt(octet);
}

function parseIpv6(text: string): Address {
  const percent = text.indexOf("%");
  const zone = percent < 0 ? "" : text.slice(percent + 1);
  if (percent >= 0 && zone === "") throw problem(text, "zone must be a non-empty string");
  const { groups, gap } = readGroups(text, percent < 0 ? text : text.slice(0, percent));
  if (groups.length < GROUPS && gap === undefined) throw problem(text, "address string too short");
  if (groups.length === GROUPS && gap !== undefined) {
    throw problem(text, "the :: must expand to at least one field of zeros");
  }
  const zeros = Array.from({ length: GROUPS - groups.length }, () => 0);
  const all = groups.toSpliced(gap ?? 0, 0, ...zeros);
  return { bits: 128, value: all.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n), zone };
}

interface Groups {
  /** Of 16 bits. */
  readonly groups: readonly number[];
  /** Index of the group that `::` stands before. */
  readonly gap: number | undefined;
}

function readGroups(text: string, address: string): Groups {
  const groups: number[] = [];
  let gap = address.startsWith("::") ? 0 : undefined;
  let rest = gap === undefined ? address : address.slice(2);
  while (groups.length < GROUPS && !(rest === "" && gap === groups.length)) {
    const digits = readDigits(text, rest);
    if (rest[digits.length] === ".") {
      groups.push(...embedded(text, rest, { groups, gap }));
      return { groups, gap };
    }
    groups.push(Number.parseInt(digits, 16));
    rest = rest.slice(digits.length);
    if (rest === "") return { groups, gap };
    if (rest[0] !== ":") throw problem(text, "unexpected character, want colon", rest);
    if (rest.length === 1) throw problem(text, "colon must be followed by more characters", rest);
    rest = rest.slice(1);
    if (rest[0] !== ":") continue;
    if (gap !== undefined) throw problem(text, "multiple :: in address", rest);
    gap = groups.length;
    rest = rest.slice(1);
  }
  if (rest !== "") throw problem(text, "trailing garbage after address", rest);
  return { groups, gap };
}

function readDigits(text: string, rest: string): string {
  const [digits = ""] = /^[0-9a-fA-F]*/.exec(rest) ?? [];
  if (digits.length > GROUP_MAX_DIGITS) throw problem(text, "each group must have 4 or less digits", rest);
  if (digits === "") throw problem(text, "each colon-separated field must have at least one digit", rest);
  return digits;
}

/** The two groups of the `1.2.3.4` of `::1.2.3.4`. */
function embedded(text: string, rest: string, { groups, gap }: Groups): readonly number[] {
  if (gap === undefined && groups.length !== GROUPS - 2) {
    throw problem(text, "embedded IPv4 address must replace the final 2 fields of the address", rest);
  }
  if (groups.length > GROUPS - 2) {
    throw problem(text, "too many hex fields to fit an embedded IPv4 at the end of the address", rest);
  }
  const value = Number(parseIpv4(text, rest));
  return [value >>> 16, value & 0xffff];
}

export function isMappedIpv4({ bits, value }: Address): boolean {
  return bits === 128 && value >> 32n === 0xffffn;
}

/** The one canonical form: RFC 5952 for IPv6. */
export function addressText({ bits, value }: Address): string {
  if (bits === 32) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
  const groups = Array.from({ length: GROUPS }, (_, at) => (value >> BigInt(16 * (GROUPS - 1 - at))) & 0xffffn);
  const [from, to] = longestZeros(groups);
  const text = (part: readonly bigint[]) => part.map((group) => group.toString(16)).join(":");
  return to - from < 2 ? text(groups) : `${text(groups.slice(0, from))}::${text(groups.slice(to))}`;
}

/** The first of the longest runs of zeros, as start and end. */
function longestZeros(groups: readonly bigint[]): readonly [number, number] {
  let best: readonly [number, number] = [0, 0];
  for (let from = 0; from < groups.length; from++) {
    let to = from;
    while (groups[to] === 0n) to++;
    if (to - from > best[1] - best[0]) best = [from, to];
  }
  return best;
}

/** The address with all but its first `length` bits zero. */
export function masked(address: Address, length: number): Address {
  const rest = BigInt(address.bits - length);
  return { ...address, value: (address.value >> rest) << rest };
}
