import type { Library } from "../cel/library.ts";
import { CelError, type Opaque, TypeValue } from "../cel/values.ts";
import { ADDRESS_UNITS, type Address, addressText, isMappedIpv4, masked, parseAddress } from "./address.ts";
import {
  BOOL,
  type Cost,
  declare,
  INT,
  method,
  opaque,
  plain,
  STRING,
  sizeOf,
  TRAVERSAL_FACTOR,
  traversal,
} from "./define.ts";
import { goQuote } from "./go-text.ts";
import { IP, IpValue, parseIp } from "./ip.ts";

const NAME = "net.CIDR";
const CIDR = opaque(NAME);
const ONE: Cost = () => 1;
const INT64_MAX = (1n << 63n) - 1n;

/** A range of addresses; its address may have bits behind the prefix. */
class CidrValue implements Opaque {
  readonly opaque = NAME;
  readonly address: Address;
  readonly length: number;

  constructor(address: Address, length: number) {
    this.address = address;
    this.length = length;
  }

  /** Bytes of the prefix, for costs. */
  get size(): number {
    return Math.ceil(this.length / 8);
  }

  equals(other: Opaque): boolean {
    return (
      other instanceof CidrValue &&
      other.length === this.length &&
      other.address.bits === this.address.bits &&
      other.address.value === this.address.value
    );
  }

  /** The same first bits, as many as `length`. */
  shares(other: Address, length: number): boolean {
    const { bits, value } = this.address;
    return bits === other.bits && (value ^ other.value) >> BigInt(bits - length) === 0n;
  }

  toString(): string {
    return `${addressText(this.address)}/${this.length}`;
  }
}

const addressCost: Cost = ([range]) => ADDRESS_UNITS[(range as CidrValue).address.bits];

/** apiserver/pkg/cel/library/cidr.go. */
export const cidr: Library = {
  functions: [
    declare(
      "cidr",
      plain({ id: "string_to_cidr", parameters: [STRING], result: CIDR, call: toCidr, cost: traversal() }),
    ),
    declare("isCIDR", plain({ id: "is_cidr", parameters: [STRING], result: BOOL, call: isCidr, cost: traversal() })),
    declare(
      "containsIP",
      method({
        ...contains("cidr_contains_ip_string", STRING, 0),
        call: (range: CidrValue, text: string) => containsIp(range, ipOrNothing(text)),
      }),
      method({ ...contains("cidr_contains_ip_ip", IP, 0), call: containsIp }),
    ),
    declare(
      "containsCIDR",
      method({
        ...contains("cidr_contains_cidr_string", STRING, 1),
        call: (range: CidrValue, text: string) => containsCidr(range, toCidr(text)),
      }),
      method({ ...contains("cidr_contains_cidr", CIDR, 1), call: containsCidr }),
    ),
    declare("ip", method({ ...of("cidr_ip"), result: IP, call: ({ address }: CidrValue) => new IpValue(address) })),
    declare("prefixLength", method({ ...of("cidr_prefix_length"), result: INT, call: prefixLength })),
    declare("masked", method({ ...of("cidr_masked"), result: CIDR, call: maskedCidr, cost: addressCost })),
    declare(
      "string",
      plain({ id: "cidr_to_string", parameters: [CIDR], result: STRING, call: String, cost: addressCost }),
    ),
  ],
  constants: { [NAME]: { type: { kind: "type", of: CIDR }, value: new TypeValue(CIDR) } },
};

function of(id: string) {
  return { id, parameters: [CIDR], cost: ONE };
}

/** Kubernetes counts the prefix twice, once more for a range in a range, and the text where one has to be read. */
function contains(id: string, other: typeof STRING, more: 0 | 1) {
  const cost: Cost = ([range, what]) => {
    const bytes = sizeOf(range);
    const compared = Math.ceil(2 * bytes * TRAVERSAL_FACTOR) + more * (Math.ceil(bytes * TRAVERSAL_FACTOR) + 1);
    return compared + (other === STRING ? Math.ceil(sizeOf(what) * TRAVERSAL_FACTOR) : 0);
  };
  return { id, parameters: [CIDR, other], result: BOOL, cost };
}

/** Kubernetes words an error here twice. */
function toCidr(text: string): CidrValue {
  try {
    return parseCidr(text);
  } catch (error) {
    throw new CelError(`network address parse error during conversion from string: ${(error as CelError).message}`);
  }
}

function isCidr(text: string): boolean {
  try {
    parseCidr(text);
    return true;
  } catch {
    return false;
  }
}

function parseCidr(text: string): CidrValue {
  const { address, length } = readPrefix(text);
  if (isMappedIpv4(address)) throw new CelError(`IPv4-mapped IPv6 address ${goQuote(text)} is not allowed`);
  return new CidrValue(address, length);
}

/** As netip.ParsePrefix. */
function readPrefix(text: string): { readonly address: Address; readonly length: number } {
  const problem = (message: string) =>
    new CelError(
      `network address parse error during conversion from string: netip.ParsePrefix(${goQuote(text)}): ${message}`,
    );
  const slash = text.lastIndexOf("/");
  if (slash < 0) throw problem("no '/'");
  const address = attempt(() => parseAddress(text.slice(0, slash)), problem);
  if (address.zone !== "") throw problem("IPv6 zones cannot be present in a prefix");
  const bits = text.slice(slash + 1);
  if (!/^(?:\d|[1-9]\d+)$/.test(bits) || BigInt(bits) > INT64_MAX) {
    throw problem(`bad bits after slash: ${goQuote(bits)}`);
  }
  if (BigInt(bits) > address.bits) throw problem("prefix length out of range");
  return { address, length: Number(bits) };
}

function attempt<T>(work: () => T, problem: (message: string) => CelError): T {
  try {
    return work();
  } catch (error) {
    throw problem((error as CelError).message);
  }
}

/** Kubernetes loses the reason why a text is no address. */
function ipOrNothing(text: string): IpValue {
  try {
    return parseIp(text);
  } catch (error) {
    if (error instanceof CelError) throw new CelError("no such overload");
    throw error;
  }
}

function containsIp(range: CidrValue, { address }: IpValue): boolean {
  return range.shares(address, range.length);
}

function containsCidr(range: CidrValue, other: CidrValue): boolean {
  return range.length <= other.length && range.shares(other.address, range.length);
}

function prefixLength(range: CidrValue): bigint {
  return BigInt(range.length);
}

function maskedCidr({ address, length }: CidrValue): CidrValue {
  return new CidrValue(masked(address, length), length);
}
